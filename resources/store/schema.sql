-- The operational truth. Committed is committed; nothing here is ever rebuilt.
create schema if not exists concord;
set search_path to concord;

-- Everything that any system ever said to us, as it said it.
create table inbox (
    inbox_id        bigint generated always as identity primary key,
    system          text not null,
    stream          text not null,
    arrived_by      text not null check (arrived_by in ('webhook', 'poll', 'file', 'snapshot')),
    remote_id       text,
    event_id        text,
    body_hash       text not null,
    is_versioned    boolean not null,
    file_name       text,
    file_occurrence text,
    row_number      int,
    received_at     timestamptz not null default now(),
    payload         text not null,
    body            bytea not null
);
create unique index inbox_event on inbox (system, stream, event_id) where event_id is not null;
create unique index inbox_body on inbox (system, stream, body_hash) where arrived_by = 'webhook' and is_versioned;
create unique index inbox_file_row on inbox (system, stream, file_occurrence, row_number) where arrived_by = 'file';
create index inbox_record on inbox (system, stream, remote_id, inbox_id) where remote_id is not null;
create index inbox_stream on inbox (system, stream, inbox_id);

-- What couriers and people did, in the order in which it became true. The lake reads it beside the inbox.
create table ledger (
    ledger_id  bigint generated always as identity primary key,
    entity     text not null,
    key        text not null,
    kind       text not null check (kind in (
        'linked',     -- remote_id of system is this key
        'unlinked',   -- no longer
        'delivered',  -- system confirmed that it holds value (JSON)
        'held',       -- system held value before the flow went live
        'decided',    -- a person decided that field is value, until revoked
        'revoked',    -- the decision about field no longer holds
        'restore',    -- a foreign write is answered: the owner's value goes to system again
        'ignored',    -- the difference in field that the reconciliation (flow) finds is left alone until value
        'repair'      -- a person or a reconciliation asks to deliver key to system again
    )),
    system     text,
    remote_id  text,
    field      text,
    value      text,
    flow       text,
    by_whom    text not null,
    happened_at timestamptz not null default now()
);
create index ledger_key on ledger (entity, key, ledger_id);
create index ledger_remote on ledger (entity, system, remote_id, ledger_id) where kind in ('linked', 'unlinked');

-- Which remote record is which of ours.
create table links (
    entity     text not null,
    system     text not null,
    remote_id  text not null,
    key        text not null,
    made_by    text not null check (made_by in ('courier', 'match', 'person')),
    made_at    timestamptz not null default now(),
    primary key (entity, system, remote_id)
);
create index links_key on links (entity, key);

-- A run's share of the inbox and the ledger, fixed before it starts.
create table batches (
    batch_id        bigint generated always as identity primary key,
    entity          text not null,
    after_inbox_id  bigint not null,   -- exclusive
    upto_inbox_id   bigint not null,   -- inclusive
    after_ledger_id bigint not null,
    upto_ledger_id  bigint not null,
    fingerprint     text not null,     -- of what the map says about the entity
    is_full         boolean not null,
    opened_at       timestamptz not null default now(),
    settled_at      timestamptz,
    wakes           text[] not null default '{}',  -- entities with records that waited for one of these and may go on
    turns_at        timestamptz                    -- when the first of the records will be another without a word
);
create index batches_settled on batches (entity, batch_id desc) where settled_at is not null;

create table cursors (
    system    text not null,
    stream    text not null,
    cursor    text,
    polled_at timestamptz not null default now(),
    primary key (system, stream)
);

create type delivery_status as enum (
    'due',      -- waiting for its time
    'sending',  -- leased by a courier
    'unknown',  -- sent, no answer: looked up before it is sent again
    'applied',  -- the destination confirmed it
    'parked',   -- gave up or held back; a person decides
    'replaced'  -- a newer version was born before this one left
);

create table outbox (
    delivery_id       bigint generated always as identity primary key,
    flow              text not null,
    entity            text not null,
    system            text not null,
    key               text not null,
    version           int not null,
    action            text not null check (action in ('upsert', 'cancel', 'archive', 'delete')),
    payload           text not null,      -- JSON; money and quantities as text
    remote_id         text,
    reason            text not null,      -- why this version was born: new, changed, withdrawn, restore, repair, decision, already held
    status            delivery_status not null default 'due',
    due_at            timestamptz not null default now(),   -- infinity: held back by a quarantined field or a pending parent
    leased_until      timestamptz,
    leased_by         text,               -- the courier that holds the lease
    attempts          int not null default 0,           -- times that it was sent
    first_sent_at     timestamptz,
    last_error        text,
    parked_because    text constraint outbox_parked_because_check check (parked_because in (
        'refused', 'gave up', 'unknown', 'flood', 'shadow', 'foreign writes', 'own field'
    )),
    parked_by_run     text,               -- the Dagster run that parked it; re-executing that run claims it
    caused_by_inbox_id bigint,            -- the newest message behind it
    received_at       timestamptz,        -- when that message was received: the start of the lag
    created_at        timestamptz not null default now(),
    applied_at        timestamptz,
    unique (flow, key, version)
);
create index outbox_away on outbox (system, due_at) where status in ('sending', 'unknown');
create index outbox_next on outbox (system, flow, due_at, delivery_id) where status = 'due';
create index outbox_parked on outbox (flow) where status = 'parked';
create index outbox_applied on outbox (flow, applied_at) where status = 'applied';

create table attempts (
    attempt_id  bigint generated always as identity primary key,
    delivery_id bigint not null references outbox,
    run_id      text,
    started_at  timestamptz not null,
    ended_at    timestamptz not null default now(),
    result      text not null,
    reason      text
);
create index attempts_delivery on attempts (delivery_id);

-- How much of a destination's allowance is left, and whether it answers at all. A restart resets neither.
create table destinations (
    system        text primary key,
    tokens        double precision not null,
    refilled_at   timestamptz not null default now(),
    failures      int not null default 0,      -- in a row
    open_until    timestamptz,                 -- the breaker: no runs are launched before
    last_error    text
);

-- What a system really held, record by record: each points at the message that tells it.
create table snapshots (
    snapshot_id bigint generated always as identity primary key,
    system      text not null,
    stream      text not null,
    started_at  timestamptz not null default now(),
    finished_at timestamptz,                   -- null: not proven complete
    records     bigint
);
create table snapshot_records (
    snapshot_id bigint not null references snapshots on delete cascade,
    remote_id   text not null,
    inbox_id    bigint not null,
    primary key (snapshot_id, remote_id)
);

-- Files that were taken, so that none is taken twice.
create table files (
    system          text not null,
    stream          text not null,
    file_occurrence text not null,
    file_name       text not null,
    size_bytes      bigint not null,
    messages        int not null,
    problem         text,                      -- why the file as a whole could not be read
    taken_at        timestamptz not null default now(),
    primary key (system, stream, file_occurrence)
);

-- Something that a person must know, once, until it is over.
create table alerts (
    alert_id   bigint generated always as identity primary key,
    subject    text not null,                  -- what it is about: a flow, a system, a reconciliation
    kind       text not null,
    steward    text not null,
    sentence   text not null,
    raised_at  timestamptz not null default now(),
    over_at    timestamptz
);
create unique index alerts_open on alerts (subject, kind) where over_at is null;

-- How the webhook door did, minute by minute: one row per kind of answer that it gave.
create table webhook_health (
    minute   timestamptz not null,
    door     uuid not null,                    -- the process that counted
    system   text not null,
    topic    text not null,                    -- both empty where the address named none of ours
    outcome  text not null,                    -- new, known (a retry), or why it was rejected
    answers  int not null,
    p50_ms   double precision not null,        -- of the response times, from the first byte read to the last one sent
    p95_ms   double precision not null,
    p99_ms   double precision not null,
    max_ms   double precision not null,
    primary key (minute, door, system, topic, outcome)
);

-- How far each stream's messages were looked at for what the map does not know. Also of streams that the map no longer has.
create table looks (
    system        text not null,
    stream        text not null,
    upto_inbox_id bigint not null,
    messages      bigint not null,             -- that were looked at
    began_at      timestamptz not null default now(),
    primary key (system, stream)
);

-- Every path that the messages of a stream ever carried, and what stood there.
create table shapes (
    system         text not null,
    stream         text not null,
    path           text not null,              -- $.line_items[].tax_lines[].rate
    kind           text not null check (kind in ('object', 'list', 'text', 'boolean', 'null', 'any')),
    is_known       boolean not null,           -- it stood there from the beginning, or a person has dealt with it
    messages       bigint not null,
    first_inbox_id bigint not null,
    last_inbox_id  bigint not null,
    primary key (system, stream, path, kind)
);

-- What a stream used to keep of each path that the map reads: that it is there, and that it fits what the map expects.
create table promises (
    system             text not null,
    stream             text not null,
    path               text not null,
    promise            text not null check (promise in ('is there', 'fits')),
    chances            bigint not null,        -- messages that could keep it
    kept               bigint not null,
    missed             bigint not null,        -- in a row, up to now
    longest_missed     bigint not null,        -- in a row, before it was kept again
    last_kept_inbox_id bigint,
    primary key (system, stream, path, promise)
);

-- Traffic that the map does not know, each told once.
create table findings (
    finding_id     bigint generated always as identity primary key,
    system         text not null,
    stream         text not null,              -- empty where no stream took it
    kind           text not null check (kind in ('field', 'writer', 'topic', 'file', 'stream')),
    what           text not null,              -- the path, the writer, the topic, the kind of file, or the stream
    steward        text not null,
    next_step      text not null,
    example        text,                       -- of which kind it is; no value, for it may be a person's
    messages       bigint not null,
    first_inbox_id bigint,
    first_seen_at  timestamptz not null,
    last_seen_at   timestamptz not null,
    over_at        timestamptz
);
create unique index findings_open on findings (system, stream, kind, what) where over_at is null;

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

create table schema_version (version int primary key, applied_at timestamptz not null default now());
insert into schema_version values (6);
