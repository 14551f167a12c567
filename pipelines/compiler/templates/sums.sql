<% set sum = e.sum %>
<% set told = sum.told %>
<% set lines = told.lines %>
,
-- What the lines of each message come to, as far as they count.
goods as (
    select
        inbox_id, sum(amount) as goods, list(struct_pack(amount := amount, rate := coalesce(rate, 0))) as taxed,
        count(rate) > 0 as has_rates, bool_or(amount is null) as has_broken_lines
    from (
        select
            inbox_id,
<% if lines.counts %>
            -- what does not count adds nothing, also where nothing else is there
            if(coalesce(<< lines.counts >>, true), << sum.amount_of_line >>, 0) as amount,
            if(coalesce(<< lines.counts >>, true), << sum.rate_of_line >>, null) as rate
<% else %>
            << sum.amount_of_line >> as amount,
            << sum.rate_of_line >> as rate
<% endif %>
        from {{ ref("stg_<< lines.entity >>") }}
    )
    group by inbox_id
),
amounts as (
    select
        inbox_id, currency_units as units, << told.tolerance >> / 10 ** currency_units as tolerance,
        << sum.is_included >> as is_included, goods, taxed, has_rates,
        cast(<< told.total >> as double) as << told.total >>,
<% for name in told.less + told.plus %>
        coalesce(cast(<< name >> as double), 0) as << name >>,
<% endfor %>
<% for amount, rate in sum.taxed %>
        if(said.<< rate >>, coalesce(cast(<< rate >> as double), 0), null) as << rate >>,
<% endfor %>
        << "cast(" ~ told.tax.field ~ " as double)" if told.tax else "0" >> as tax_told
    from judged
    join goods using (inbox_id)
    where tells_lines and said.<< told.total >> and system in (<< e.owners(told.total) | listed >>)
        and not has_broken_lines<% if told.when %> and coalesce(<< told.when >>, true)<% endif %>

),
taxes as (
    select
        *, << sum.before_tax >> as before_tax<< "," if sum.is_taxed >>
<% if sum.is_taxed %>
        tax_by_line(after_discount, is_included, units) as tax_by_line,
        tax_by_order(after_discount, is_included, units) as tax_by_order,
        tax_by_<< told.tax.rounding >>(taxed, is_included, units) as tax_before_discount
    from (
        -- The discount is spread over the lines by their value. Where nobody tells a rate, the tax cannot be reckoned.
        select
            * exclude (taxed),
            if(is_reckoned, taxed<< sum.also_taxed >>, null) as taxed,
            if(is_reckoned, share_of(taxed, if(goods = 0, 1, 1 - << sum.less >> / goods))<< sum.also_taxed >>, null) as after_discount
        from (select *, << sum.is_reckoned >> as is_reckoned from amounts)
    )
<% else %>
    from amounts
<% endif %>
),
sums as (
    select
        inbox_id,
        list_filter([
            if(not is_near(<< told.total >>, due, tolerance), is_off_by('<< told.total >>', << told.total >>, due, units) || case
<% for other, case in sum.other_sums %>
                when is_near(<< told.total >>, << other >>, tolerance) then '; it fits if << case >>'
<% endfor %>
                else ''
            end, null)<< "," if sum.is_taxed >>
<% if sum.is_taxed %>
            if(not is_near(tax_told, tax_due, tolerance), is_off_by('<< told.tax.field >>', tax_told, tax_due, units) || case
<% for other, case in sum.other_taxes %>
                when is_near(tax_told, << other >>, tolerance) then '; it fits if << case >>'
<% endfor %>
                else ''
            end, null)
<% endif %>
        ], lambda reason: reason is not null) as reasons
    from (
        select
            *, before_tax + if(is_included, 0, tax) as due
        from (select *, << sum.tax >> as tax<< ", " ~ sum.tax_due ~ " as tax_due" if sum.is_taxed >> from taxes)
    )
)
