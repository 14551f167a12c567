-- A settled batch tells when the first of its records will be another without a word from anybody.
alter table batches add column turns_at timestamptz;
