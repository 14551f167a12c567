-- What is settled lives here, in tables of the schema `settled` that syncs make themselves: one per model, kept by keys.
create table settled_tables (
    name        text primary key,
    entity      text not null,
    columns     jsonb not null,                -- [[column, DuckDB's type], ...], in their order; none of a view
    query       text,                          -- of a view over the others, as DuckDB spells it
    fingerprint text not null,                 -- of what the map says about the entity
    rows        bigint not null default 0,     -- that it has: counting a million takes longer than settling ten
    batch_id    bigint not null                -- that made it
);

-- Which batch of an entity is its newest. A sync commits only while its own still is: two can overlap, and one wins.
create table epochs (
    entity     text primary key,
    batch_id   bigint not null                 -- the one opened last
);

-- Records that are settled again although nobody said anything about them: what they read elsewhere has changed.
create table wakes (
    wake_id    bigint generated always as identity primary key,
    entity     text not null,                  -- that is settled again: its records
    by         text not null,                  -- that have in this column, as <table>.<column>,
    value      text not null,                  -- this value
    cause      text not null,                  -- the table that changed
    born_at    timestamptz not null default now()
);
create index wakes_entity on wakes (entity, wake_id);

create index ledger_remote on ledger (entity, system, remote_id, ledger_id) where kind in ('linked', 'unlinked');

-- Rebuilds that are under way: what of them is settled already, beside the tables that stand.
create table rebuilds (
    entity        text primary key,
    fingerprint   text not null,               -- of the map by which it is settled: by another one it begins anew
    batch_id      bigint not null,
    upto_inbox_id bigint not null,
    upto_ledger_id bigint not null,
    moment        timestamptz not null,
    turns         int not null,                -- a share of the keys in each
    is_read       boolean not null default false,  -- whether all messages lie in files, by turn
    began_at      timestamptz not null default now()
);
create table rebuilt_turns (
    entity text not null references rebuilds on delete cascade,
    turn   int not null,
    primary key (entity, turn)
);

-- Messages that break a statement whenever it meets them: left out by this map until a person has mended it or them.
create table set_aside (
    entity       text not null,
    inbox_id     bigint not null,
    fingerprint  text not null,                -- of the map by which they break: another one tries them again
    stage        text not null,                -- the model that broke, or what was written
    error        text not null,
    set_aside_at timestamptz not null default now(),
    primary key (entity, inbox_id, fingerprint)
);

-- Tables of the lake that are copies of what is settled, and of when: a copy of the newest batch is not made again.
create table publications (
    name         text primary key,
    batch_id     bigint not null,              -- the newest settled one of its entity
    published_at timestamptz not null          -- the moment at which all of it was so
);

-- How many messages of each stream have which verdict: whoever watches asks every other second, and counts no table for it.
create table verdict_counts (
    entity     text not null,
    hour       timestamptz not null,           -- in which they were received, of the last day; -infinity: all there are
    system     text not null,
    stream     text not null,
    verdict    text not null,
    messages   bigint not null,
    primary key (entity, hour, system, stream, verdict)
);
