-- A settled batch tells which entities it lets go on.
alter table batches add column wakes text[] not null default '{}';
