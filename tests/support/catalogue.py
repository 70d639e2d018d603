"""The schema of a database as PostgreSQL's catalogue has it: a list that two databases, or two moments, can be compared by."""

from typing import Any

from tests.support.rows import rows

# The names of columns and not their numbers: a column that was dropped and added again has another number.
CATALOGUE = """
WITH tables AS (
    SELECT oid, relname, relkind, relrowsecurity, relforcerowsecurity, reloptions, relacl, relowner
    FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'S', 'i')
)
SELECT 'relation', relname, concat_ws(' ', relkind, relrowsecurity, relforcerowsecurity, reloptions, relowner::regrole)
FROM tables
UNION ALL
SELECT 'column', relname || '.' || attname, concat_ws(' ', format_type(atttypid, atttypmod), attnotnull, attidentity,
    attgenerated, (SELECT collname FROM pg_collation WHERE pg_collation.oid = attcollation),
    pg_get_expr(adbin, adrelid), col_description(attrelid, attnum))
FROM tables JOIN pg_attribute ON attrelid = tables.oid AND attnum > 0 AND NOT attisdropped
LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
UNION ALL
SELECT 'right on a column', relname || '.' || attname, item::text
FROM tables JOIN pg_attribute ON attrelid = tables.oid AND attnum > 0 AND NOT attisdropped, unnest(attacl) item
UNION ALL
SELECT 'right on a relation', relname, item::text FROM tables, unnest(relacl) item
UNION ALL
SELECT 'index', indexrelid::regclass::text, concat_ws(' ', pg_get_indexdef(indexrelid), indisvalid)
FROM pg_index JOIN tables ON tables.oid = indrelid
UNION ALL
SELECT 'constraint', concat_ws(' of ', conname, nullif(conrelid, 0)::regclass, nullif(contypid, 0)::regtype),
    concat_ws(' ', pg_get_constraintdef(oid), convalidated)
FROM pg_constraint WHERE connamespace = 'public'::regnamespace
UNION ALL
SELECT 'policy', concat_ws(' on ', policyname, tablename), concat_ws(' ', permissive, roles, cmd, qual, '/', with_check)
FROM pg_policies WHERE schemaname = 'public'
UNION ALL
SELECT 'function', oid::regprocedure::text, concat_ws(' ', pg_get_functiondef(oid), coalesce(proacl, acldefault('f', proowner)))
FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND prokind <> 'a'
UNION ALL
SELECT 'type', oid::regtype::text, concat_ws(' ', typtype, format_type(typbasetype, typtypmod), typnotnull, typdefault,
    (SELECT collname FROM pg_collation WHERE pg_collation.oid = typcollation), typacl)
FROM pg_type WHERE typnamespace = 'public'::regnamespace AND typtype IN ('d', 'e')
UNION ALL
SELECT 'trigger', tgname || ' on ' || tgrelid::regclass, pg_get_triggerdef(pg_trigger.oid)
FROM pg_trigger JOIN tables ON tables.oid = tgrelid WHERE NOT tgisinternal
UNION ALL
SELECT 'extension', extname, '' FROM pg_extension
UNION ALL
SELECT 'right on the schema', nspname, item::text FROM pg_namespace, unnest(nspacl) item WHERE nspname = 'public'
UNION ALL
SELECT 'default right', defaclrole::regrole::text, concat_ws(' ', defaclobjtype, defaclacl) FROM pg_default_acl
ORDER BY 1, 2, 3
"""


def schema(url: str) -> list[tuple[Any, ...]]:
    """Relations, columns, constraints, indexes, policies, functions, types, triggers and all rights on them."""
    return rows(url, CATALOGUE)
