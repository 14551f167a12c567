-- The words in which generated SQL speaks. Each database of DuckDB learns them when it is opened: see
-- resources/lake/macros.py.

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

-- What is plainly a form is taken at sight, and what is not is put before the library that knows it
-- (resources/lake/validators.py).
create or replace macro memory.main.is_email(value) as case when value is null then null when is_plain_mail(value) then true else is_mail_address(value) end;
create or replace macro memory.main.bare_phone(value) as regexp_replace(value, '[ ().-]', '', 'g');
create or replace macro memory.main.is_phone(value, country) as case when value is null then null when is_plain_phone(bare_phone(value)) then true else is_possible_phone(value, country) end;
create or replace macro memory.main.e164(value, country) as case when value is null then null when is_plain_phone(bare_phone(value)) then bare_phone(value) else international_phone(value, country) end;

-- Check digits. GS1's weighs 3, 1, 3, ... from the right: of an EAN, a UPC, and of what USPS and FedEx Ground print. A tracking number
-- is judged where its shape, or its carrier, says which check digit it bears; any other is nobody's mistake. The oldest of USPS leave out
-- the 91 with which they are reckoned.
create or replace macro memory.main.digit_at(number, place) as cast(substr(number, cast(place as bigint), 1) as integer);
create or replace macro memory.main.sum_of_digits(number, weigh) as list_sum(list_transform(range(1, len(number)), lambda place: digit_at(number, place) * list_extract(weigh, cast((len(number) - 1 - place) % len(weigh) + 1 as integer))));
create or replace macro memory.main.is_gs1(number) as (10 - sum_of_digits(number, [3, 1]) % 10) % 10 = digit_at(number, len(number));
create or replace macro memory.main.is_gtin(value) as case when regexp_full_match(value, '[0-9]{8}|[0-9]{12,14}') then is_gs1(value) else false end;
create or replace macro memory.main.is_ups(number) as (10 - list_sum(list_transform(range(3, 18), lambda place: if(substr(number, place, 1) between '0' and '9', try_cast(substr(number, place, 1) as integer), (ascii(substr(number, place, 1)) - 3) % 10) * if(place % 2 = 1, 1, 2))) % 10) % 10 = digit_at(number, 18);
create or replace macro memory.main.is_s10(number) as [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 5][cast(12 - list_sum(list_transform(range(1, 9), lambda place: digit_at(number, place + 2) * [8, 6, 4, 2, 3, 5, 9, 7][place])) % 11 as bigint)] = digit_at(number, 11);
create or replace macro memory.main.is_fedex_express(number) as sum_of_digits(number, [1, 3, 7]) % 11 % 10 = digit_at(number, 12);
create or replace macro memory.main.is_dhl_express(number) as cast(left(number, len(number) - 1) as bigint) % 7 = digit_at(number, len(number));
create or replace macro memory.main.plain_tracking(value) as upper(regexp_replace(value, '[\s-]', '', 'g'));
create or replace macro memory.main.bears_check_digit(number, carrier) as case when regexp_full_match(number, '1Z[0-9A-Z]{15}[0-9]') then is_ups(number) when regexp_full_match(number, '[A-Z]{2}[0-9]{9}[A-Z]{2}') then is_s10(number) when regexp_full_match(number, '(420[0-9]{5}([0-9]{4})?)?9[1-5][0-9]{20}') then is_gs1(right(number, 22)) when carrier like '%FEDEX%' and regexp_full_match(number, '[0-9]{12}') then is_fedex_express(number) when carrier like '%FEDEX%' and regexp_full_match(number, '[0-9]{15}|96[0-9]{20}') then is_gs1(right(number, 15)) when carrier like '%USPS%' and regexp_full_match(number, '[0-9]{20}') then is_gs1(number) or is_gs1('91' || number) when carrier like '%DHL%' and regexp_full_match(number, '[0-9]{10,11}') then is_dhl_express(number) else true end;
create or replace macro memory.main.is_tracking_number(value, carrier) as bears_check_digit(plain_tracking(value), coalesce(upper(carrier), ''));

-- The two addresses of a customer as a list, each with its kind; what is no address is left out.
create or replace macro memory.main.of_kind(address, kind) as if(json_type(address) = 'OBJECT', json_merge_patch(address, json_object('kind', kind)), null);
create or replace macro memory.main.addresses_of(shipping, billing) as to_json(list_filter([of_kind(shipping, 'shipping'), of_kind(billing, 'billing')], lambda one: one is not null));

-- A text as it is compared with another system's spelling of it: case, commas and line breaks say nothing.
create or replace macro memory.main.plainly(value) as trim(regexp_replace(lower(coalesce(value, '')), '[\s,]+', ' ', 'g'));

-- Where a list is read and something else stands, that is its only element, and breaks what its elements must have: it neither stops
-- the others nor passes for an empty list.
create or replace macro memory.main.as_list(value) as case coalesce(json_type(value), 'NULL') when 'ARRAY' then try_cast(value as json[]) when 'NULL' then null else [value] end;
create or replace macro memory.main.paid_through(transactions, through) as list_sum(list_transform(list_filter(as_list(transactions), lambda part: (part ->> '$.gateway') = through and (part ->> '$.status') = 'SUCCESS' and (part ->> '$.kind') in ('SALE', 'CAPTURE')), lambda part: as_decimal(part ->> '$.amountSet.shopMoney.amount')));
create or replace macro memory.main.attributes_in(list_of, name, value) as nullif(array_to_string(list_transform(as_list(list_of), lambda part: (part ->> name) || ': ' || (part ->> value)), chr(10)), '');
create or replace macro memory.main.attribute_of(list_of, wanted) as nullif(list_filter(as_list(list_of), lambda part: coalesce(part ->> '$.name', part ->> '$.key') = wanted)[1] ->> '$.value', '');
create or replace macro memory.main.has_attribute(list_of, wanted) as attribute_of(list_of, wanted) is not null;
-- Sums over a JSON list in a payload. What is no list is no sum, and says so where it is cast.
create or replace macro memory.main.sum_in(list_of, path) as list_transform([list_of], lambda told: case coalesce(json_type(told), 'NULL') when 'ARRAY' then cast(list_sum(list_transform(try_cast(told as json[]), lambda part: as_decimal(part ->> path))) as varchar) when 'NULL' then null else cast(told as varchar) end)[1];
create or replace macro memory.main.sum_of_products(list_of, one, other) as list_sum(list_transform(as_list(list_of), lambda part: try_cast(part ->> one as decimal(18, 4)) * try_cast(part ->> other as decimal(18, 6))));
-- A rate or a price that its sender does not tell, out of the two amounts that he does: 0.45 on 6.00 are 0.075.
create or replace macro memory.main.divided(amount, by_amount) as list_transform([{'amount': amount, 'by_amount': by_amount}], lambda told: cast(as_decimal(told.amount) / nullif(as_decimal(told.by_amount), 0) as decimal(18, 6)))[1];

-- How many of a line are left when what was refunded of it is taken off, for senders who do not say so themselves.
create or replace macro memory.main.refunded(refunds, line_id) as list_sum(list_transform(list_filter(flatten(list_transform(as_list(refunds), lambda refund: as_list(refund -> '$.refund_line_items'))), lambda part: (part ->> '$.line_item_id') = line_id), lambda part: as_whole(part ->> '$.quantity')));
create or replace macro memory.main.left_over(quantity, refunds, line_id) as coalesce(cast(as_whole(quantity) - refunded(refunds, line_id) as varchar), quantity);

-- Sums are reckoned in floating point and rounded from six decimals, so that half a cent is half a cent. A tax stands on top of
-- its amount, or is contained in it.
create or replace macro memory.main.tax_of(one, is_included) as one.amount * one.rate / if(is_included, 1 + one.rate, 1);
create or replace macro memory.main.tax_by_line(taxed, is_included, units) as list_sum(list_transform(taxed, lambda one: cast(to_units(tax_of(one, is_included), units) as double)));
create or replace macro memory.main.tax_by_order(taxed, is_included, units) as cast(to_units(list_sum(list_transform(taxed, lambda one: tax_of(one, is_included))), units) as double);
create or replace macro memory.main.share_of(taxed, share) as list_transform(taxed, lambda one: struct_pack(amount := one.amount * share, rate := one.rate));
create or replace macro memory.main.is_near(told, due, tolerance) as abs(told - due) < tolerance + 0.000001;
create or replace macro memory.main.as_amount(amount, units) as printf('%.' || units || 'f', amount);
create or replace macro memory.main.is_off_by(field, told, due, units) as 'adds_up: ' || field || ' «' || as_amount(told, units) || '» is off by ' || as_amount(told - due, units) || ' from the ' || as_amount(due, units) || ' that it adds up to';

-- What follows this prefix in a list of words; of several all, for nobody knows which counts.
create or replace macro memory.main.named_by(words, prefix) as nullif(array_to_string(list_sort(list_transform(list_filter(words, lambda word: starts_with(trim(word), prefix)), lambda word: trim(substr(trim(word), len(prefix) + 1)))), ' or '), '');

-- A day begins and ends at midnight where the price is agreed; a moment is that moment, and what cannot be read stays visible.
create or replace macro memory.main.is_day(value) as regexp_full_match(value, ' *[0-9]{4}-[0-9]{2}-[0-9]{2} *');
create or replace macro memory.main.day_begins(day, zone) as coalesce(strftime(if(is_day(day), timezone(zone, try_cast(day as timestamp)), as_instant(day, zone)), '%Y-%m-%dT%H:%M:%SZ'), day);
create or replace macro memory.main.day_ends(day, zone) as coalesce(strftime(if(is_day(day), timezone(zone, try_cast(day as timestamp) + interval 1 day), as_instant(day, zone)), '%Y-%m-%dT%H:%M:%SZ'), day);
-- Where a price stands: in which list, for which SKU and, where that is more than one, from which quantity on.
create or replace macro memory.main.place_of(price_list, sku, from_quantity) as price_list || '/' || sku || if(coalesce(as_whole(cast(from_quantity as varchar)), 1) = 1, '', '/' || from_quantity);

-- Money and quantities travel as text, without the zeros that the warehouse pads them with.
create or replace macro memory.main.as_travelling(amount) as regexp_replace(regexp_replace(cast(amount as varchar), '([.][0-9]{2}[0-9]*?)0+$', '\1'), '[.]$', '');

-- Payment services count in the smallest unit of a currency and in seconds since 1970; what is no such count stays visible.
-- A list of one binds what is looked at several times: written out as often, these words took more memory than a run has.
create or replace macro memory.main.of_minor_units(amount, units) as list_transform([{'amount': amount, 'units': units}], lambda told: coalesce(cast(cast(as_whole(told.amount) as decimal(28, 0)) * case told.units when 0 then 1.0000 when 2 then 0.0100 when 3 then 0.0010 when 4 then 0.0001 end as varchar), told.amount || ' smallest units'))[1];
create or replace macro memory.main.of_epoch(seconds) as list_transform([seconds], lambda told: coalesce(strftime(make_timestamp(as_whole(told) * 1000000), '%Y-%m-%dT%H:%M:%SZ'), told))[1];
-- Stripe's units are those of ISO 4217, but for these: https://docs.stripe.com/currencies#zero-decimal and #special-cases.
create or replace macro memory.main.stripe_units(currency) as list_transform([upper(currency)], lambda code: case when code = 'MGA' then 0 when code in ('ISK', 'UGX') then 2 else minor_units(code) end)[1];
create or replace macro memory.main.stripe_amount(amount, currency) as of_minor_units(amount, stripe_units(currency));
-- What of a captured amount was given back, where what was authorised and then released may be counted as given back, too.
create or replace macro memory.main.given_back(refunded, authorised, captured) as cast(greatest(as_whole(refunded) - (as_whole(authorised) - as_whole(captured)), 0 * as_whole(refunded)) as varchar);

-- What a storefront's refunds take back, whichever way it spells them. Goods that never left are cancelled. What had left and is
-- refunded was sold all the same: Shopify takes it off the order, and these words put it back.
create or replace macro memory.main.refund_parts(refunds) as flatten(list_transform(as_list(refunds), lambda refund: coalesce(as_list(refund -> '$.refund_line_items'), as_list(refund -> '$.refundLineItems'), [])));
create or replace macro memory.main.restock_of(part) as lower(coalesce(part ->> '$.restock_type', part ->> '$.restockType'));
create or replace macro memory.main.has_left(part) as restock_of(part) in ('return', 'no_restock');
create or replace macro memory.main.line_of(part) as coalesce(part ->> '$.line_item_id', regexp_extract(part ->> '$.lineItem.id', '[0-9]+$'));
create or replace macro memory.main.subtotal_of(part) as as_decimal(coalesce(part ->> '$.subtotal', part ->> '$.subtotalSet.shopMoney.amount'));
create or replace macro memory.main.tax_of_part(part) as as_decimal(coalesce(part ->> '$.total_tax', part ->> '$.totalTaxSet.shopMoney.amount'));
create or replace macro memory.main.price_of_part(part) as as_decimal(coalesce(part ->> '$.line_item.price', part ->> '$.priceSet.shopMoney.amount'));
create or replace macro memory.main.share_returned(part, what, is_included) as case what when 'worth' then subtotal_of(part) + if(lower(is_included) = 'true', 0, tax_of_part(part)) when 'tax' then tax_of_part(part) when 'discount' then as_whole(part ->> '$.quantity') * price_of_part(part) - subtotal_of(part) end;
create or replace macro memory.main.with_returned(amount, refunds, what, is_included) as if(coalesce(refunds, '[]') = '[]', amount, coalesce(cast(as_decimal(amount) + list_sum(list_transform(list_filter(refund_parts(refunds), lambda part: has_left(part)), lambda part: share_returned(part, what, is_included))) as varchar), amount));
create or replace macro memory.main.and_returned(quantity, refunds, line_id) as if(coalesce(refunds, '[]') = '[]', quantity, coalesce(cast(as_whole(quantity) + list_sum(list_transform(list_filter(refund_parts(refunds), lambda part: has_left(part) and line_of(part) = line_id), lambda part: as_whole(part ->> '$.quantity'))) as varchar), quantity));
create or replace macro memory.main.is_cancelled(parts) as coalesce(list_bool_or(list_transform(as_list(parts), lambda part: restock_of(part) = 'cancel')), false);
-- Goods that were taken back for less money than they are worth, with nothing kept for it, were exchanged.
create or replace macro memory.main.shown_subtotal(part) as as_decimal(coalesce(part ->> '$.subtotal_set.presentment_money.amount', part ->> '$.subtotalSet.presentmentMoney.amount', part ->> '$.subtotal'));
create or replace macro memory.main.shown_amount(paid) as as_decimal(coalesce(paid ->> '$.amountSet.presentmentMoney.amount', paid ->> '$.amount'));
create or replace macro memory.main.is_taken_in_exchange(parts, paid, adjustments) as coalesce(len(as_list(adjustments)), 0) = 0 and coalesce(list_sum(list_transform(as_list(paid), lambda one: shown_amount(one))), 0) < coalesce(list_sum(list_transform(list_filter(as_list(parts), lambda part: has_left(part)), lambda part: shown_subtotal(part))), 0);

-- The refund of the payment service that a note in the shop names: it begins with its number.
create or replace macro memory.main.noted_refund(note) as nullif(regexp_extract(note, '^STRIPE-re_\w+'), '');

-- Whether a withdrawal stands: one that nothing newer lifts. What was told of somebody before it was found that two records are
-- one person lifts no withdrawal of the other.
create or replace macro memory.main.is_lifted(withdrawal, lifts, joined_at) as len(list_filter(lifts, lambda lift: lift.at > withdrawal.at and (lift.told_as = withdrawal.told_as or lift.at >= coalesce(joined_at, timestamptz '-infinity')))) > 0;
create or replace macro memory.main.stands(withdrawals, lifts, joined_at) as coalesce(len(list_filter(withdrawals, lambda withdrawal: not coalesce(is_lifted(withdrawal, lifts, joined_at), false))) > 0, false);

-- Whether a system knows a record, and by which name.
create or replace macro memory.main.name_in(known_as, asked) as list_filter(known_as, lambda one: one.system = asked)[1].remote_id;
create or replace macro memory.main.is_known_in(known_as, asked) as name_in(known_as, asked) is not null;

-- Since when a consent is as a system says: where that does not say, an opt-in is as old as its record and a withdrawal as new as
-- its message.
create or replace macro memory.main.consent_time(state, updated_at, created_at, told_at) as coalesce(updated_at, if(lower(state) in ('subscribed', 'pending'), created_at, told_at), told_at);
