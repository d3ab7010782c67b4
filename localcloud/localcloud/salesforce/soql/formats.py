"""FORMAT(): numbers, dates and times as the locale `en_US` writes them, as SQL."""

from __future__ import annotations

from localcloud.salesforce.sobject import NUMBER_TYPES

FORMATTED_TYPES = NUMBER_TYPES | {"date", "datetime"}


def formatted(type_: str, sql: str, scale: int) -> str:
    """SQL of the text that a value is shown as; NULL stays NULL.

    Args:
        type_: The describe type, one of `FORMATTED_TYPES`.
        sql: SQL of the stored value.
        scale: Digits behind the point of a decimal number.
    """
    if type_ == "date":
        return _day(sql)
    if type_ == "datetime":
        hour = f"CAST(substr({sql},12,2) AS INTEGER)"
        return f"({_day(sql)}||format(', %d:%s %s',({hour}+11)%12+1,substr({sql},15,2),iif({hour}<12,'AM','PM')))"
    if type_ == "int":
        return f"iif({sql} IS NULL,NULL,format('%,d',{sql}))"
    number = f"CAST({sql} AS REAL)"
    units = f"CAST(round(abs({number})*{10**scale}) AS INTEGER)"
    whole = f"format('%,d',{units}/{10**scale})"
    fraction = f"||format('.%0{scale}d',{units}%{10**scale})" if scale else ""
    sign, mark = f"iif({number}<0,'-','')", "'$'||" if type_ == "currency" else ""
    end = "||'%'" if type_ == "percent" else ""
    return f"iif({sql} IS NULL,NULL,{sign}||{mark}{whole}{fraction}{end})"


def _day(sql: str) -> str:
    month, day = f"CAST(substr({sql},6,2) AS INTEGER)", f"CAST(substr({sql},9,2) AS INTEGER)"
    return f"iif({sql} IS NULL,NULL,format('%d/%d/%s',{month},{day},substr({sql},1,4)))"
