-- A person may leave a difference between two systems alone until a day.
alter table ledger drop constraint ledger_kind_check;
alter table ledger add constraint ledger_kind_check check (kind in (
    'linked', 'unlinked', 'delivered', 'held', 'decided', 'revoked', 'restore', 'repair',
    'ignored'     -- the difference in field that the reconciliation (flow) finds is left alone until value
));
