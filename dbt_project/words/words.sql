-- The words in which generated SQL speaks. Each database of DuckDB learns them when it is opened: see resources/words.py.

-- An empty text says nothing.
create or replace macro memory.main.told(value) as nullif(trim(cast(value as varchar)), '');

-- Numbers keep every digit that they came with; what would lose one is no number here.
create or replace macro memory.main.is_decimal(value) as regexp_full_match(value, '[+-]?[0-9]{1,27}([.][0-9]{1,10}0*)?');
-- Reading 38 digits takes a hundred times as long as reading 18, which nearly all amounts fit.
create or replace macro memory.main.as_decimal(value) as case when regexp_full_match(value, '[+-]?[0-9]{1,12}([.][0-9]{1,6}0*)?') then cast(try_cast(value as decimal(18, 6)) as decimal(38, 10)) when is_decimal(value) then try_cast(value as decimal(38, 10)) end;
create or replace macro memory.main.is_whole(value) as regexp_full_match(value, '[+-]?[0-9]{1,18}([.]0*)?');
create or replace macro memory.main.as_whole(value) as try_cast(split_part(if(is_whole(value), value, null), '.', 1) as bigint);

-- A time with an offset is taken at its word; one without takes its system's zone.
create or replace macro memory.main.has_offset(value) as regexp_matches(value, '[0-9](Z|[+-](0[0-9]|1[0-4]):?([0-5][0-9])?)$');
create or replace macro memory.main.has_zone_mark(value) as regexp_matches(value, ':[0-9.]+ ?(Z|[+-][0-9:]+)$');
create or replace macro memory.main.as_instant(value, zone) as case when has_offset(value) and has_zone_mark(value) then try_cast(value as timestamptz) when not has_zone_mark(value) then timezone(zone, try_cast(value as timestamp)) end;

-- Newest wins. Equal times of a trusted clock are settled by the body, so that every order of arrival settles the same way;
-- a file that is sent again for the same time is a correction, so there (a tie of 0) the later arrival wins. One number of
-- microseconds, 40 bits of the body's hash and 31 of the arrival; a decimal, for Parquet has no 128-bit integers, and DuckDB
-- would write them as doubles, which forget body and arrival.
create or replace macro memory.main.tie_of_body(body_hash) as cast('0x' || left(body_hash, 10) as bigint);
create or replace macro memory.main.order_key_of(moment, tie, inbox_id) as cast((cast(epoch_us(moment) as hugeint) * 1099511627776 + tie) * 2147483648 + inbox_id % 2147483648 as decimal(38, 0));

create or replace macro memory.main.is_boolean(value) as lower(value) in ('true', 'false', '1', '0', 'yes', 'no', 't', 'f');
create or replace macro memory.main.as_boolean(value) as try_cast(case lower(value) when 'yes' then 'true' when 'no' then 'false' else lower(value) end as boolean);
create or replace macro memory.main.is_email(value) as regexp_full_match(value, '[^@\s,;<>]+@[^@\s,;<>]+[.][^@\s,;<>.]{2,}');
create or replace macro memory.main.digits(value) as nullif(regexp_replace(value, '[^0-9]', '', 'g'), '');
create or replace macro memory.main.is_phone(value) as regexp_full_match(value, '[+]?[0-9 ()./-]{5,24}(( ?(x|ext[.]?) ?)[0-9]{1,6})?') and len(regexp_replace(value, '[^0-9]', '', 'g')) between 5 and 17;

-- Sums over a JSON list in a payload.
create or replace macro memory.main.sum_in(list_of, path) as list_sum(list_transform(cast(list_of as json[]), lambda part: as_decimal(part ->> path)));
create or replace macro memory.main.sum_of_products(list_of, one, other) as list_sum(list_transform(cast(list_of as json[]), lambda part: try_cast(part ->> one as decimal(18, 4)) * try_cast(part ->> other as decimal(18, 6))));

-- Money and quantities travel as text, without the zeros that the warehouse pads them with.
create or replace macro memory.main.as_travelling(amount) as regexp_replace(regexp_replace(cast(amount as varchar), '([.][0-9]{2}[0-9]*?)0+$', '\1'), '[.]$', '');
