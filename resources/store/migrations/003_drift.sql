-- What a destination would be told of its own fields is parked by the write guard.
alter table outbox drop constraint outbox_parked_because_check;
alter table outbox add constraint outbox_parked_because_check check (parked_because in (
    'refused', 'gave up', 'unknown', 'flood', 'shadow', 'foreign writes', 'own field'
));

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
