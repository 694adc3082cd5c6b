#include "pipeline/catalog.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>

#include "pg/type_definitions.hpp"

namespace etl::pipeline::catalog {
namespace {

// {a,b} as PostgreSQL reads arrays; every element in quotes.
std::string array_literal(std::span<std::string const> elements) {
  std::string text = "{";
  for (auto const& element : elements) {
    if (text.size() > 1) text += ',';
    text += '"';
    for (char const c : element) {
      if (c == '"' || c == '\\') text += '\\';
      text += c;
    }
    text += '"';
  }
  return text + '}';
}

std::string array_literal(std::span<std::uint32_t const> oids) { return fmt::format("{{{}}}", fmt::join(oids, ",")); }

std::uint32_t oid_at(pg::rows const& rows, std::size_t row, std::size_t column) {
  return static_cast<std::uint32_t>(rows.integer(row, column));
}

// Domains resolved to what is below them: one row a type, for the lateral join of the queries here.
constexpr std::string_view base_type_sql = R"(
  LATERAL (
    WITH RECURSIVE chain(oid, typtype, typbasetype, typmod) AS (
      SELECT t.oid, t.typtype, t.typbasetype, CASE WHEN t.typtype = 'd' THEN t.typtypmod ELSE -1 END
      UNION ALL
      SELECT b.oid, b.typtype, b.typbasetype,
             CASE WHEN b.typtype = 'd' AND b.typtypmod <> -1 THEN b.typtypmod ELSE chain.typmod END
      FROM chain JOIN pg_type b ON b.oid = chain.typbasetype WHERE chain.typtype = 'd'
    )
    SELECT chain.oid, chain.typmod FROM chain WHERE chain.typtype <> 'd' LIMIT 1
  ) base ON true JOIN pg_type base_type ON base_type.oid = base.oid
)";

constexpr std::string_view type_columns_sql =
    "format_type({type}, {modifier}), t.typtype, base.oid, "
    "CASE WHEN t.typtype = 'd' THEN format_type(base.oid, base.typmod) ELSE format_type({type}, {modifier}) END, "
    "CASE WHEN base_type.typcategory = 'A' THEN base_type.typelem ELSE 0 END";

void read_type(pg::rows const& rows, std::size_t row, std::size_t first, model::column& into) {
  into.type_name = rows.text(row, first);
  into.type_kind = rows.text(row, first + 1).empty() ? 'b' : rows.text(row, first + 1).front();
  into.base_type_oid = oid_at(rows, row, first + 2);
  into.base_type_name = rows.text(row, first + 3);
  into.element_oid = oid_at(rows, row, first + 4);
}

std::vector<std::int16_t> numbers(std::string_view text) {
  std::vector<std::int16_t> found;
  while (!text.empty()) {
    auto const space = std::min(text.find(' '), text.size());
    std::int16_t number = 0;
    std::from_chars(text.data(), text.data() + space, number);
    found.push_back(number);
    text.remove_prefix(std::min(space + 1, text.size()));
  }
  return found;
}

struct described {
  model::relation relation;
  char kind = 'r';
  std::string row_filter;
  std::vector<std::string> column_list;  // from 15 on
  bool filtered = true;                  // every publication that carries its inserts filters the rows
  table::events published;
  bool moves_published = true;
};

// Which columns make the key: the replica identity index, or the primary key where the identity names no index.
asio::awaitable<result<void>> read_keys(pg::connection& source, std::map<std::uint32_t, described>& tables,
                                        std::string const& oids) {
  auto keys = co_await source.query(
      "SELECT i.indrelid, i.indisreplident, i.indisprimary, "
      "  (SELECT string_agg(k::text, ' ' ORDER BY n) FROM unnest(i.indkey) WITH ORDINALITY AS u(k, n) WHERE n <= "
      "i.indnkeyatts) "
      "FROM pg_index i WHERE i.indrelid = ANY($1::oid[]) AND i.indisvalid AND i.indimmediate "
      "AND (i.indisprimary OR i.indisreplident)",
      {oids}, "reading the tables' keys");
  if (!keys) co_return fail(std::move(keys));
  for (std::size_t row = 0; row < keys->size(); ++row) {
    auto& found = tables.at(oid_at(*keys, row, 0)).relation;
    bool const by_index = found.identity == model::replica_identity::index;
    if (by_index ? !keys->flag(row, 1) : !keys->flag(row, 2)) continue;
    std::vector<std::uint16_t> key;
    for (auto const attribute : numbers(keys->text(row, 3))) {
      auto const at = std::find_if(found.columns.begin(), found.columns.end(),
                                   [&](auto const& c) { return c.attribute_number == attribute; });
      if (at == found.columns.end()) break;  // a column list that leaves out part of the key: no usable key
      key.push_back(static_cast<std::uint16_t>(at - found.columns.begin()));
    }
    if (key.size() != numbers(keys->text(row, 3)).size()) continue;
    found.key = std::move(key);
    for (auto const index : found.key) found.columns[index].key = true;
  }
  co_return result<void>();
}

asio::awaitable<result<void>> read_columns(pg::connection& source, std::map<std::uint32_t, described>& tables,
                                           std::string const& oids) {
  auto columns = co_await source.query(
      fmt::format("SELECT a.attrelid, a.attname, a.attnum, a.atttypid, a.atttypmod, a.attnotnull, {}, "
                  // An array's elements are arrays where the column is one; its text has the type's own delimiter.
                  "a.atthasmissing, CASE WHEN a.atthasmissing AND t.typdelim = ',' THEN "
                  "(a.attmissingval::text::text[])[1] END, a.xmin "
                  "FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid JOIN {} "
                  "WHERE a.attrelid = ANY($1::oid[]) AND a.attnum > 0 AND NOT a.attisdropped AND {} "
                  "ORDER BY a.attrelid, a.attnum",
                  fmt::format(fmt::runtime(type_columns_sql), fmt::arg("type", "a.atttypid"),
                              fmt::arg("modifier", "a.atttypmod")),
                  base_type_sql,
                  // From 18 on a publication may send stored ones; then it lists them.
                  source.server_version() >= 180000 ? "a.attgenerated <> 'v'" : "a.attgenerated = ''"),
      {oids}, "reading the tables' columns");
  if (!columns) co_return fail(std::move(columns));
  bool const knows_lists = source.server_version() >= 150000;
  for (std::size_t row = 0; row < columns->size(); ++row) {
    auto& table = tables.at(oid_at(*columns, row, 0));
    model::column column;
    column.name = columns->text(row, 1);
    if (knows_lists &&
        std::find(table.column_list.begin(), table.column_list.end(), column.name) == table.column_list.end()) {
      continue;
    }
    column.attribute_number = static_cast<std::int16_t>(columns->integer(row, 2));
    column.type_oid = oid_at(*columns, row, 3);
    column.type_modifier = static_cast<std::int32_t>(columns->integer(row, 4));
    column.not_null = columns->flag(row, 5);
    read_type(*columns, row, 6, column);
    column.has_fill = columns->flag(row, 11);
    if (!columns->is_null(row, 12)) column.fill = columns->text(row, 12);
    column.stamp = oid_at(*columns, row, 13);
    table.relation.columns.push_back(std::move(column));
  }
  co_return result<void>();
}

asio::awaitable<result<void>> read_computed_columns(pg::connection& source, std::map<std::uint32_t, described>& tables,
                                                    std::string const& oids) {
  auto computed = co_await source.query(
      fmt::format("SELECT a.attrelid, a.attname, pg_get_expr(d.adbin, d.adrelid), "
                  "  (SELECT string_agg(DISTINCT p.refobjsubid::text, ' ') FROM pg_depend p "
                  "   WHERE p.refclassid = 'pg_class'::regclass AND p.refobjid = a.attrelid "
                  "   AND p.refobjsubid NOT IN (0, a.attnum) "
                  "   AND (p.classid = 'pg_attrdef'::regclass AND p.objid = d.oid "
                  "     OR p.classid = 'pg_class'::regclass AND p.objid = a.attrelid AND p.objsubid = a.attnum)), {} "
                  "FROM pg_attribute a JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum "
                  "JOIN pg_type t ON t.oid = a.atttypid JOIN {} "
                  "WHERE a.attrelid = ANY($1::oid[]) AND NOT a.attisdropped AND a.attgenerated <> '' "
                  "ORDER BY a.attrelid, a.attnum",
                  fmt::format(fmt::runtime(type_columns_sql), fmt::arg("type", "a.atttypid"),
                              fmt::arg("modifier", "a.atttypmod")),
                  base_type_sql),
      {oids}, "reading the tables' generated columns");
  if (!computed) co_return fail(std::move(computed));
  for (std::size_t row = 0; row < computed->size(); ++row) {
    auto& found = tables.at(oid_at(*computed, row, 0)).relation;
    auto const replicated = [&](auto const& is_it) {
      return std::any_of(found.columns.begin(), found.columns.end(), is_it);
    };
    auto const uses = numbers(computed->text(row, 3));
    bool const complete = std::all_of(uses.begin(), uses.end(), [&](auto attribute) {
      return replicated([&](auto const& c) { return c.attribute_number == attribute; });
    });
    if (!complete || replicated([&](auto const& c) { return c.name == computed->text(row, 1); })) continue;
    model::computed_column one;
    one.column.name = computed->text(row, 1);
    one.expression = computed->text(row, 2);
    read_type(*computed, row, 4, one.column);
    found.computed.push_back(std::move(one));
  }
  co_return result<void>();
}

// Heaps of plain tables and of the leaves of partitioned ones, in a stable order.
asio::awaitable<result<std::map<std::uint32_t, std::vector<storage>>>> read_storage(pg::connection& source,
                                                                                    std::string const& oids) {
  auto heaps = co_await source.query(
      "SELECT root.oid, c.oid, n.nspname, c.relname, c.relfilenode, "
      "  pg_relation_size(c.oid) / current_setting('block_size')::bigint, pg_table_size(c.oid), c.reltuples::bigint "
      "FROM unnest($1::oid[]) AS root(oid) "
      "JOIN pg_class r ON r.oid = root.oid "
      "CROSS JOIN LATERAL (SELECT r.oid AS relid WHERE r.relkind = 'r' "
      "  UNION ALL SELECT t.relid FROM pg_partition_tree(r.oid) t WHERE r.relkind = 'p' AND t.isleaf) heap "
      "JOIN pg_class c ON c.oid = heap.relid AND c.relkind = 'r' JOIN pg_namespace n ON n.oid = c.relnamespace "
      "ORDER BY root.oid, c.oid",
      {oids}, "reading the tables' sizes");
  if (!heaps) co_return fail(std::move(heaps));
  std::map<std::uint32_t, std::vector<storage>> found;
  for (std::size_t row = 0; row < heaps->size(); ++row) {
    storage heap;
    heap.oid = oid_at(*heaps, row, 1);
    heap.quoted_name = fmt::format("{}.{}", model::quote_identifier(heaps->text(row, 2)),
                                   model::quote_identifier(heaps->text(row, 3)));
    heap.filenode = oid_at(*heaps, row, 4);
    heap.blocks = static_cast<std::uint32_t>(heaps->integer(row, 5));
    heap.bytes = static_cast<std::uint64_t>(heaps->integer(row, 6));
    heap.rows = heaps->integer(row, 7);
    found[oid_at(*heaps, row, 0)].push_back(std::move(heap));
  }
  co_return found;
}

asio::awaitable<result<std::vector<table>>> select_published(pg::connection& source,
                                                             std::vector<std::string> const& publications,
                                                             std::optional<std::uint32_t> only, lsn seen) {
  bool const knows_filters = source.server_version() >= 150000;
  auto listed = co_await source.query(
      fmt::format("SELECT c.oid, n.nspname, c.relname, c.relkind, c.relreplident, {}, "
                  "  p.pubinsert, p.pubupdate, p.pubdelete, p.pubtruncate "
                  "FROM pg_publication_tables t JOIN pg_publication p ON p.pubname = t.pubname "
                  "JOIN pg_namespace n ON n.nspname = t.schemaname "
                  "JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = t.tablename "
                  "{} WHERE t.pubname = ANY($1::text[]) AND c.relpersistence = 'p' AND ($2::oid IS NULL OR c.oid = $2) "
                  "ORDER BY n.nspname, c.relname{}",
                  knows_filters ? "t.rowfilter, a.name" : "NULL, NULL",
                  knows_filters ? "LEFT JOIN LATERAL unnest(t.attnames) WITH ORDINALITY AS a(name, n) ON true" : "",
                  knows_filters ? ", t.pubname, a.n" : ""),
      {array_literal(publications), only ? std::optional(fmt::format("{}", *only)) : std::nullopt},
      "reading the publication's tables");
  if (!listed) co_return fail(std::move(listed));

  std::map<std::uint32_t, described> tables;
  std::vector<std::uint32_t> order;
  for (std::size_t row = 0; row < listed->size(); ++row) {
    auto const oid = oid_at(*listed, row, 0);
    auto [at, fresh] = tables.try_emplace(oid);
    auto& table = at->second;
    if (fresh) {
      order.push_back(oid);
      table.relation.oid = oid;
      table.relation.schema = listed->text(row, 1);
      table.relation.name = listed->text(row, 2);
      table.kind = listed->text(row, 3).front();
      table.relation.identity = static_cast<model::replica_identity>(listed->text(row, 4).front());
    }
    bool const inserts = listed->flag(row, 7);
    bool const updates = listed->flag(row, 8);
    table.published.inserts |= inserts;
    table.published.updates |= updates;
    table.published.deletes |= listed->flag(row, 9);
    table.published.truncates |= listed->flag(row, 10);
    if (inserts && !updates) table.moves_published = false;
    // A row that any of the publications lets through is published.
    if (inserts && listed->is_null(row, 5)) {
      table.filtered = false;
    } else if (inserts) {
      auto const clause = fmt::format("({})", listed->text(row, 5));
      if (table.row_filter.find(clause) == std::string::npos) {
        table.row_filter += (table.row_filter.empty() ? "" : " OR ") + clause;
      }
    }
    if (!listed->is_null(row, 6)) table.column_list.emplace_back(listed->text(row, 6));
  }
  if (tables.empty()) co_return std::vector<table>{};

  auto const oids = array_literal(order);
  if (auto read = co_await read_columns(source, tables, oids); !read) co_return fail(std::move(read));
  if (auto read = co_await read_keys(source, tables, oids); !read) co_return fail(std::move(read));
  std::vector<model::relation*> relations;
  for (auto& [oid, table] : tables) relations.push_back(&table.relation);
  if (auto defined = co_await pg::define_types(source, relations); !defined) co_return fail(std::move(defined));
  if (auto read = co_await read_computed_columns(source, tables, oids); !read) co_return fail(std::move(read));
  auto heaps = co_await read_storage(source, oids);
  if (!heaps) co_return fail(std::move(heaps));

  std::vector<table> found;
  for (auto const oid : order) {
    auto& one = tables.at(oid);
    table entry;
    entry.relation = std::make_shared<model::relation const>(std::move(one.relation));
    entry.parts = std::move((*heaps)[oid]);
    if (one.filtered) entry.row_filter = std::move(one.row_filter);
    entry.published = one.published;
    entry.moves_published = one.moves_published;
    entry.seen = seen;
    found.push_back(std::move(entry));
  }
  co_return found;
}

// Under one snapshot, so that columns, keys and file nodes belong together.
asio::awaitable<result<std::vector<table>>> read_published(pg::connection& source,
                                                           std::vector<std::string> publications,
                                                           std::optional<std::uint32_t> only) {
  auto const at = co_await current_wal_position(source);
  if (!at) co_return fail(result(at));
  auto begun = co_await source.query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", "reading the catalog");
  if (!begun) co_return fail(std::move(begun));
  auto found = co_await select_published(source, publications, only, *at);
  auto ended = co_await source.query("COMMIT", "reading the catalog");
  if (!found) co_return found;
  if (!ended) co_return fail(std::move(ended));
  co_return found;
}

}  // namespace

asio::awaitable<result<server_facts>> describe_server(pg::connection& source) {
  auto answer = co_await source.query(
      "SELECT current_database(), current_setting('wal_level'), current_setting('wal_block_size'), "
      "(SELECT setting::bigint * CASE unit WHEN '8kB' THEN 8192 WHEN 'kB' THEN 1024 WHEN 'MB' THEN 1048576 ELSE 1 END "
      "   FROM pg_settings WHERE name = 'wal_segment_size'), "
      "current_setting('block_size'), (SELECT setting FROM pg_settings WHERE name = 'wal_sender_timeout'), "
      "current_setting('synchronous_standby_names') <> '', pg_is_in_recovery(), "
      "CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_insert_lsn() END",
      "reading the server's settings");
  if (!answer) co_return fail(std::move(answer));
  auto const& row = *answer;
  server_facts facts;
  facts.version = source.server_version();
  facts.database = row.text(0, 0);
  facts.wal_level = row.text(0, 1);
  facts.block_size = static_cast<std::uint32_t>(row.integer(0, 2));
  facts.segment_size = static_cast<std::uint64_t>(row.integer(0, 3));
  facts.page_size = static_cast<std::uint32_t>(row.integer(0, 4));
  facts.wal_sender_timeout = std::chrono::milliseconds(row.integer(0, 5));
  facts.commits_may_wait = row.flag(0, 6);
  facts.in_recovery = row.flag(0, 7);
  facts.insert = lsn::parse(row.text(0, 8)).value_or(lsn{});
  co_return facts;
}

asio::awaitable<result<std::vector<candidate>>> list_tables(pg::connection& source) {
  auto answer = co_await source.query(
      "SELECT c.oid, n.nspname, c.relname, CASE c.relreplident "
      "  WHEN 'f' THEN true WHEN 'n' THEN false "
      "  WHEN 'd' THEN EXISTS (SELECT 1 FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary AND i.indisvalid "
      "AND i.indimmediate) "
      "  ELSE EXISTS (SELECT 1 FROM pg_index i WHERE i.indrelid = c.oid AND i.indisreplident AND i.indisvalid) END "
      "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
      "WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence = 'p' "
      "AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast', 'etl_stream') AND n.nspname NOT LIKE "
      "'pg\\_temp\\_%' "
      "ORDER BY n.nspname, c.relname",
      "listing the tables");
  if (!answer) co_return fail(std::move(answer));
  std::vector<candidate> found;
  for (std::size_t row = 0; row < answer->size(); ++row) {
    found.push_back({oid_at(*answer, row, 0), std::string(answer->text(row, 1)), std::string(answer->text(row, 2)),
                     answer->flag(row, 3)});
  }
  co_return found;
}

asio::awaitable<result<std::vector<candidate>>> list_unlogged(pg::connection& source) {
  auto answer = co_await source.query(
      "SELECT c.oid, n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
      "WHERE c.relkind IN ('r', 'p') AND c.relpersistence IN ('u', 't') AND n.nspname <> 'etl_stream' "
      "ORDER BY n.nspname, c.relname",
      "looking for unlogged tables");
  if (!answer) co_return fail(std::move(answer));
  std::vector<candidate> found;
  for (std::size_t row = 0; row < answer->size(); ++row) {
    found.push_back({.oid = oid_at(*answer, row, 0),
                     .schema = std::string(answer->text(row, 1)),
                     .name = std::string(answer->text(row, 2))});
  }
  co_return found;
}

asio::awaitable<result<std::vector<publication>>> find_publications(pg::connection& source,
                                                                    std::vector<std::string> names) {
  auto answer = co_await source.query(
      "SELECT pubname, puballtables, pubupdate, pubdelete FROM pg_publication WHERE pubname = ANY($1::text[]) ORDER BY "
      "pubname",
      {array_literal(names)}, "looking for the publication");
  if (!answer) co_return fail(std::move(answer));
  std::vector<publication> found;
  for (std::size_t row = 0; row < answer->size(); ++row) {
    found.push_back(
        {std::string(answer->text(row, 0)), answer->flag(row, 1), answer->flag(row, 2), answer->flag(row, 3)});
  }
  co_return found;
}

asio::awaitable<result<std::vector<table>>> published_tables(pg::connection& source,
                                                             std::vector<std::string> publications) {
  return read_published(source, std::move(publications), std::nullopt);
}

asio::awaitable<result<std::map<std::uint32_t, std::vector<storage>>>> find_storage(pg::connection& source,
                                                                                    std::vector<std::uint32_t> tables) {
  co_return co_await read_storage(source, array_literal(tables));
}

asio::awaitable<result<std::optional<table>>> published_table(pg::connection& source,
                                                              std::vector<std::string> publications,
                                                              std::uint32_t oid) {
  auto found = co_await read_published(source, std::move(publications), oid);
  if (!found) co_return fail(std::move(found));
  if (found->empty()) co_return std::optional<table>{};
  co_return std::optional(std::move(found->front()));
}

asio::awaitable<result<void>> wait_for_changes(pg::connection& source, std::uint32_t oid) {
  // Opening a table waits for who alters it; a name would not do, since that may be what changes.
  auto waited = co_await source.query(
      fmt::format("SET lock_timeout = '10s'; SELECT pg_catalog.pg_relation_size({}); SET lock_timeout = 0", oid),
      "waiting for a table to be changed");
  if (waited) co_return result<void>();
  auto failure = fail(std::move(waited));
  if (failure.sqlstate != "55P03") co_return failure;
  auto reset = co_await source.query("SET lock_timeout = 0", "waiting for a table to be changed");
  if (!reset) co_return fail(std::move(reset));
  co_return result<void>();
}

asio::awaitable<result<std::string>> published_stamp(pg::connection& source, std::vector<std::string> publications) {
  auto answer = co_await source.query(
      "SELECT md5(coalesce(string_agg(one, ',' ORDER BY one), '')) FROM (SELECT DISTINCT format("
      "'%s %s %s %s %s %s', c.oid, c.xmin, c.relfilenode, n.nspname, "
      "(SELECT string_agg(format('%s.%s', a.attnum, a.xmin), ' ' ORDER BY a.attnum) FROM pg_attribute a "
      " WHERE a.attrelid = c.oid AND a.attnum > 0), "
      "(SELECT string_agg(format('%s.%s', i.indexrelid, i.xmin), ' ' ORDER BY i.indexrelid) FROM pg_index i "
      " WHERE i.indrelid = c.oid AND (i.indisprimary OR i.indisreplident))) AS one "
      "FROM pg_publication_tables t JOIN pg_namespace n ON n.nspname = t.schemaname "
      "JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = t.tablename WHERE t.pubname = ANY($1::text[])) s",
      {array_literal(publications)}, "looking for changed tables");
  if (!answer) co_return fail(std::move(answer));
  co_return std::string(answer->text(0, 0));
}

namespace {

std::string table_list(std::span<candidate const> tables) {
  std::string list;
  for (auto const& table : tables) list += (list.empty() ? "ONLY " : ", ONLY ") + table.quoted_name();
  return list;
}

result<void> explain_publication_error(result<pg::rows>&& outcome, std::string const& sql) {
  if (outcome) return result<void>();
  auto failure = fail(std::move(outcome));
  if (failure.sqlstate == "42501") {
    failure.code = "source.publication_privilege";
    failure.hint = fmt::format("Let the tables' owner (or a superuser) run: {};", sql);
  }
  return failure;
}

}  // namespace

asio::awaitable<result<void>> create_publication(pg::connection& source, std::string const& name,
                                                 std::span<candidate const> tables, bool only_inserts) {
  auto const sql = fmt::format("CREATE PUBLICATION {} FOR TABLE {} WITH ({}publish_via_partition_root = true)",
                               model::quote_identifier(name), table_list(tables),
                               only_inserts ? "publish = 'insert, truncate', " : "");
  co_return explain_publication_error(co_await source.query(sql, "creating the publication"), sql);
}

asio::awaitable<result<void>> add_to_publication(pg::connection& source, std::string const& name,
                                                 std::span<candidate const> tables) {
  auto const sql = fmt::format("ALTER PUBLICATION {} ADD TABLE {}", model::quote_identifier(name), table_list(tables));
  co_return explain_publication_error(co_await source.query(sql, "adding tables to the publication"), sql);
}

asio::awaitable<result<void>> describe_types(pg::connection& source, std::vector<model::column>& columns) {
  std::string values;
  for (auto const& c : columns)
    values += fmt::format("{}({}::oid, {})", values.empty() ? "" : ", ", c.type_oid, c.type_modifier);
  if (values.empty()) co_return result<void>();
  auto answer = co_await source.query(
      fmt::format(
          "SELECT {} FROM (SELECT row_number() OVER () AS n, v.* FROM (VALUES {}) AS v(type, modifier)) v "
          "JOIN pg_type t ON t.oid = v.type JOIN {} ORDER BY v.n",
          fmt::format(fmt::runtime(type_columns_sql), fmt::arg("type", "v.type"), fmt::arg("modifier", "v.modifier")),
          values, base_type_sql),
      "reading the types of a changed table");
  if (!answer) co_return fail(std::move(answer));
  if (answer->size() != columns.size()) {
    co_return error{severity::data, "source.type_gone", "a column's type no longer exists at the source",
                    "The table was changed after these rows were written and needs a fresh copy."};
  }
  for (std::size_t i = 0; i < columns.size(); ++i) read_type(*answer, i, 0, columns[i]);
  co_return result<void>();
}

asio::awaitable<result<std::vector<model::sequence>>> read_sequences(pg::connection& source,
                                                                     std::vector<std::uint32_t> tables,
                                                                     std::vector<std::string>& hidden) {
  auto listed = co_await source.query(
      "SELECT n.nspname, c.relname, format('AS %s INCREMENT BY %s MINVALUE %s MAXVALUE %s START WITH %s CACHE %s %s', "
      "  format_type(s.seqtypid, NULL), s.seqincrement, s.seqmin, s.seqmax, s.seqstart, s.seqcache, "
      "  CASE WHEN s.seqcycle THEN 'CYCLE' ELSE 'NO CYCLE' END), has_sequence_privilege(c.oid, 'SELECT') "
      "FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid JOIN pg_namespace n ON n.oid = c.relnamespace "
      "LEFT JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid "
      "  AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i') "
      "WHERE c.relpersistence = 'p' AND (d.refobjid = ANY ($1::oid[]) OR d.refobjid IS NULL "
      "  AND c.relnamespace IN (SELECT relnamespace FROM pg_class WHERE oid = ANY ($1::oid[])) "
      "OR EXISTS (SELECT 1 FROM pg_depend u JOIN pg_attrdef a ON a.oid = u.objid WHERE u.classid = "
      "'pg_attrdef'::regclass "
      "  AND u.refclassid = 'pg_class'::regclass AND u.refobjid = c.oid AND a.adrelid = ANY ($1::oid[]))) "
      "ORDER BY n.nspname, c.relname",
      {array_literal(tables)}, "listing the sequences");
  if (!listed) co_return fail(std::move(listed));
  std::vector<model::sequence> found;
  for (std::size_t row = 0; row < listed->size(); ++row) {
    model::sequence one{.schema = std::string(listed->text(row, 0)),
                        .name = std::string(listed->text(row, 1)),
                        .definition = std::string(listed->text(row, 2)),
                        .last_value = {}};
    if (listed->flag(row, 3)) {
      found.push_back(std::move(one));
    } else {
      hidden.push_back(one.quoted_name());
    }
  }
  // The locks of so many sequences are held at once.
  constexpr std::size_t at_once = 100;
  for (std::size_t first = 0; first < found.size(); first += at_once) {
    std::vector<std::string> texts;
    for (auto i = first; i < std::min(first + at_once, found.size()); ++i) {
      texts.push_back(fmt::format("SELECT last_value, is_called FROM {}", found[i].quoted_name()));
    }
    std::vector<pg::statement> statements;
    for (auto const& text : texts) statements.push_back({.sql = text, .name = {}, .parameters = {}});
    auto values = co_await source.pipeline(statements, "reading sequences");
    if (!values) co_return fail(std::move(values));
    for (std::size_t i = 0; i < values->size(); ++i) {
      found[first + i].last_value = (*values)[i].text(0, 0);
      found[first + i].is_called = (*values)[i].flag(0, 1);
    }
  }
  co_return found;
}

asio::awaitable<result<std::optional<slot>>> find_slot(pg::connection& source, std::string const& name) {
  auto answer = co_await source.query(
      fmt::format(
          "SELECT plugin, database, active, coalesce(active_pid, 0), wal_status, {}, temporary, confirmed_flush_lsn "
          "FROM pg_replication_slots WHERE slot_name = $1",
          source.server_version() >= 170000   ? "coalesce(invalidation_reason, '')"
          : source.server_version() >= 160000 ? "CASE WHEN conflicting AND pg_is_in_recovery() "
                                                "THEN 'conflict with recovery' ELSE '' END"
                                              : "''"),
      {name}, "looking for the replication slot");
  if (!answer) co_return fail(std::move(answer));
  if (answer->empty()) co_return std::optional<slot>{};
  slot found;
  found.plugin = answer->text(0, 0);
  found.database = answer->text(0, 1);
  found.active = answer->flag(0, 2);
  found.active_pid = static_cast<int>(answer->integer(0, 3));
  found.wal_status = answer->text(0, 4);
  found.invalidation_reason = answer->text(0, 5);
  found.temporary = answer->flag(0, 6);
  found.confirmed_flush = lsn::parse(answer->text(0, 7));
  co_return std::optional(std::move(found));
}

asio::awaitable<result<std::vector<std::string>>> transactions_in_the_way(pg::connection& source) {
  auto answer = co_await source.query(
      "SELECT format('pid %s (%s%s, %s for %s)', pid, coalesce(usename, '?'), "
      "  CASE WHEN application_name <> '' THEN ', ' || application_name ELSE '' END, coalesce(state, backend_type), "
      "  date_trunc('second', now() - xact_start)) "
      "FROM pg_stat_activity WHERE backend_xid IS NOT NULL AND pid <> pg_backend_pid() "
      "UNION ALL SELECT format('prepared transaction %L of %s', gid, owner) FROM pg_prepared_xacts "
      "LIMIT 10",
      "looking for open transactions");
  if (!answer) co_return fail(std::move(answer));
  std::vector<std::string> found;
  for (std::size_t row = 0; row < answer->size(); ++row) found.emplace_back(answer->text(row, 0));
  co_return found;
}

asio::awaitable<result<present_end>> look_at_present(pg::connection& source) {
  auto answer = co_await source.query("SELECT pg_current_snapshot()", "taking a snapshot");
  if (!answer) co_return fail(std::move(answer));
  auto const end = co_await current_wal_position(source);
  if (!end) co_return fail(result(end));
  co_return present_end{*end, std::string(answer->text(0, 0))};
}

asio::awaitable<result<lsn>> current_wal_position(pg::connection& source) {
  auto answer = co_await source.query(
      "SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_insert_lsn() END",
      "reading the WAL position");
  if (!answer) co_return fail(std::move(answer));
  auto const at = lsn::parse(answer->text(0, 0));
  if (!at) co_return error{severity::bug, "catalog.wal_position", "the server's WAL position cannot be read"};
  co_return *at;
}

}  // namespace etl::pipeline::catalog
