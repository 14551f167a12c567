-- What a destination would be told of its own fields is parked by the write guard.
alter table outbox drop constraint outbox_parked_because_check;
alter table outbox add constraint outbox_parked_because_check check (parked_because in (
    'refused', 'gave up', 'unknown', 'flood', 'shadow', 'foreign writes', 'own field'
));
