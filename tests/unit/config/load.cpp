#include "config/load.hpp"

#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>

using namespace etl::config;
using namespace std::chrono_literals;
namespace files = std::filesystem;

namespace {

environment variables(std::map<std::string, std::string> set) {
  return [set = std::move(set)](std::string const& name) -> std::optional<std::string> {
    auto const found = set.find(name);
    if (found == set.end()) return std::nullopt;
    return found->second;
  };
}

environment const home = variables({{"HOME", "/home/me"}, {"SECRET", "hunter2"}, {"EMPTY", ""}});

// One line a problem: "line:column code message (hint)".
std::vector<std::string> told(std::vector<problem> const& problems) {
  std::vector<std::string> lines;
  for (auto const& p : problems) {
    lines.push_back(std::to_string(p.line) + ":" + std::to_string(p.column) + " " + std::string(p.code) + " " +
                    p.message + (p.hint.empty() ? "" : " (" + p.hint + ")"));
  }
  return lines;
}

std::vector<std::string> problems_of(std::string_view text) { return told(parse(text, "/etc/p.toml", home).problems); }

using lines = std::vector<std::string>;

class directory {
 public:
  directory() {
    std::string name = (files::temp_directory_path() / "unit_config_XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
    path_ = name;
  }
  directory(directory const&) = delete;
  directory& operator=(directory const&) = delete;
  ~directory() {
    std::error_code ignored;
    files::remove_all(path_, ignored);
  }

  std::string write(std::string const& name, std::string_view text, mode_t mode = 0600) const {
    auto const path = (path_ / name).string();
    std::ofstream(path) << text;
    ::chmod(path.c_str(), mode);
    return path;
  }
  [[nodiscard]] std::string operator/(std::string const& name) const { return (path_ / name).string(); }

 private:
  files::path path_;
};

constexpr std::string_view smallest = R"(
name = "Shop-1"
[source]
url = "postgres://etl@localhost/shop"
[destination]
type = "postgres"
url = "host=/run/postgresql dbname=warehouse"
)";

}  // namespace

TEST_CASE("the smallest file gets every default") {
  auto const parsed = parse(smallest, "/etc/p.toml", home);
  REQUIRE(told(parsed.problems) == lines{});
  CHECK(told(parsed.warnings) == lines{});
  REQUIRE(parsed.pipeline);
  auto const& p = *parsed.pipeline;
  CHECK(p.name == "Shop-1");
  CHECK(p.file == "/etc/p.toml");
  CHECK(p.source.url.reveal() == "postgres://etl@localhost/shop");
  CHECK_FALSE(p.source.password);
  CHECK(p.source.tables.empty());
  CHECK(p.source.publication == "etl_stream_Shop-1");
  CHECK(p.source.slot == "etl_stream_shop_1");
  CHECK(p.source.heartbeat == 10s);
  CHECK(p.destination.type == destination_type::postgres);
  CHECK(p.destination.postgres.url.reveal() == "host=/run/postgresql dbname=warehouse");
  CHECK(p.destination.position_column == "_etl_position");
  CHECK(p.copy.mode == copy_mode::when_new);
  CHECK(p.copy.workers == 2);
  CHECK_FALSE(p.batch.max_rows);
  CHECK(p.state.sqlite_path == "/home/me/.local/state/etl-stream/Shop-1.db");
  CHECK(p.shutdown_timeout == 10s);
}

TEST_CASE("every key arrives where it belongs") {
  auto const parsed = parse(R"(
name = "all"
shutdown_timeout = "1min"
source.url = { env = "URL" }
source.password.env = "SECRET"
source.tables = ["sales.*", "!sales.tmp_*"]
source.publication = "Pub"
source.slot = "slot_1"
source.heartbeat = "0s"
source.binary = "off"
source.failover_slot = true
source.connect_timeout = "500ms"
copy = { mode = "never", workers = 8, chunk_size = "1MiB", max_memory = 1048576, existing_rows = "keep" }
state.url = "sqlite:state/all.db"
[batch]
max_rows = 1
max_bytes = "1GiB"
max_fill = "20ms"
[destination]
type = "file"
path = "../out"
compression = "zstd"
segment_bytes = "1MB"
position_column = "p"
operation_column = "o"
commit_time_column = "c"
)",
                            "/etc/etl/p.toml", variables({{"URL", "service=shop"}, {"SECRET", "hunter2"}}));
  REQUIRE(told(parsed.problems) == lines{});
  auto const& p = *parsed.pipeline;
  CHECK(p.shutdown_timeout == 60s);
  CHECK(p.source.url.reveal() == "service=shop");
  REQUIRE(p.source.password);
  CHECK(p.source.password->reveal() == "hunter2");
  CHECK(p.source.tables.matches("sales", "orders"));
  CHECK_FALSE(p.source.tables.matches("sales", "tmp_1"));
  CHECK(p.source.publication == "Pub");
  CHECK(p.source.slot == "slot_1");
  CHECK(p.source.heartbeat == 0s);
  CHECK(p.source.binary == binary_mode::off);
  CHECK(p.source.failover_slot);
  CHECK(p.source.connect_timeout == 500ms);
  CHECK(p.copy.mode == copy_mode::never);
  CHECK(p.copy.workers == 8);
  CHECK(p.copy.chunk_size == 1 << 20);
  CHECK(p.copy.max_memory == 1 << 20);
  CHECK(p.copy.existing_rows == existing_rows::keep);
  CHECK(p.state.sqlite_path == "/etc/etl/state/all.db");
  CHECK(p.batch.max_rows == 1);
  CHECK(p.batch.max_bytes == 1 << 30);
  CHECK(p.batch.max_fill == 20ms);
  CHECK(p.destination.type == destination_type::file);
  CHECK(p.destination.file.path == "/etc/out");
  CHECK(p.destination.file.compression == compression_method::zstd);
  CHECK(p.destination.file.segment_bytes == 1000000);
  CHECK(p.destination.position_column == "p");
  CHECK(p.destination.operation_column == "o");
  CHECK(p.destination.commit_time_column == "c");
}

TEST_CASE("standard output is no path, and the null destination has an encoding") {
  auto const out = parse("name='a'\nsource.url='dbname=a'\ndestination={type='file',path='-'}", "/p.toml", home);
  REQUIRE(told(out.problems) == lines{});
  CHECK(out.pipeline->destination.file.path == "-");
  auto const null =
      parse("name='a'\nsource.url='dbname=a'\ndestination={type='null',encoding='none'}", "/p.toml", home);
  REQUIRE(told(null.problems) == lines{});
  CHECK(null.pipeline->destination.null.encoding == null_encoding::none);
}

TEST_CASE("every mistake of a file is told at once, in its order") {
  CHECK(
      problems_of(R"(nmae = "x"
[source]
url = "localhost"
tabels = ["a"]
slot = "My-Slot"
heartbeat = 10
binary = true
[copy]
workers = 0
chunk_size = "8 megs"
mode = "newer"
[destination]
type = "postgress"
[sorce]
)") ==
      lines{
          "1:1 config.unknown_key unknown key nmae (did you mean name?)",
          "3:7 config.bad_value source.url takes a postgres:// URI, or key=value pairs as libpq takes them",
          "4:1 config.unknown_key unknown key source.tabels (did you mean source.tables?)",
          "5:8 config.bad_value source.slot is \"My-Slot\", but takes 1 to 63 lower-case letters, digits and _",
          R"(6:13 config.wrong_type source.heartbeat wants a text such as "10s", "500ms" or "5min", not an integer)",
          "7:10 config.wrong_type source.binary wants a text, not a boolean",
          "9:11 config.bad_value copy.workers is out of bounds (write an integer from 1 to 64)",
          "10:14 config.bad_value copy.chunk_size is \"8 megs\", which is not a size (write a whole number and a unit, "
          "as in \"512KiB\", \"16MiB\" or \"1GiB\")",
          "11:8 config.bad_value copy.mode is \"newer\", but takes when_new, always or never (did you mean \"never\"?)",
          "13:8 config.bad_value destination.type is \"postgress\", but takes postgres, snowflake, duckdb, python, "
          "file or null (did you mean "
          "\"postgres\"?)",
          "14:2 config.unknown_key unknown key sorce (did you mean source?)",
      });
}

TEST_CASE("single mistakes") {
  struct row {
    std::string_view what, text;
    lines expected;
  };
  auto const& [what, text, expected] = GENERATE(values<row>({
      {"nothing at all",
       "",
       {"0:0 config.missing_key destination.type is missing (it is what kind of destination it is)",
        "0:0 config.missing_key name is missing (it is the pipeline's name, from which slot, publication and state "
        "take theirs)",
        "0:0 config.missing_key source.url is missing (it is the database to replicate from)"}},
      {"a section that lacks its key",
       "name='a'\nsource.url='dbname=a'\n[destination]\ntype='file'",
       {"3:1 config.missing_key destination.path is missing (it is the directory (or DuckDB file) to write to, or - "
        "for standard "
        "output)"}},
      {"a key of another destination",
       "name='a'\nsource.url='dbname=a'\n[destination]\ntype='null'\npath='x'",
       {"5:6 config.other_destination destination.path is a key of the duckdb or file destination, and this one is "
        "null"}},
      {"a key that stands in the wrong section",
       "name='a'\nchunk_size='8MiB'\nsource.url='dbname=a'\ndestination.type='null'",
       {"2:1 config.unknown_key unknown key chunk_size (did you mean copy.chunk_size?)"}},
      {"a key like no other",
       "name='a'\nsource.url='dbname=a'\ndestination.type='null'\nxyzzy=1",
       {"4:1 config.unknown_key unknown key xyzzy (etl-stream.toml(5) describes every key)"}},
      {"a section that is no table",
       "name='a'\nsource='dbname=a'\ndestination.type='null'",
       {"2:8 config.wrong_type source wants a table, not a text (write [source])"}},
      {"columns that are none, or have what no column takes",
       "name='a'\nsource.url='dbname=a'\n[destination]\ntype='file'\npath='x'\n[destination.columns]\n"
       "price = { on_unrepresentable = 'null' }\n\"t.*\" = { on_unrepresentable = 'null' }\n\"t.a\" = 'null'\n"
       "\"t.b\" = { on_unrepresentable = 'zero' }\n\"t.c\" = { type = 'text' }",
       {"7:1 config.column_name destination.columns: 'price' does not name a column: it has no table (write "
        "schema.table.column as in SQL, as in [destination.columns.\"sales.orders.price\"])",
        "8:1 config.column_name destination.columns: 't.*' does not name a column: it has a * outside of quotes (write "
        "schema.table.column as in SQL, as in [destination.columns.\"sales.orders.price\"])",
        R"(9:9 config.wrong_type destination.columns wants a table of columns, such as { "public.t.c" = )"
        R"({ on_unrepresentable = "null" } }, not a text)",
        "10:32 config.bad_value destination.columns.'t.b'.on_unrepresentable is \"zero\", but takes error, null or "
        "text",
        "11:11 config.unknown_key unknown key destination.columns.'t.c'.type (a column takes on_unrepresentable)"}},
      {"a name with a space",
       "name='my shop'\nsource.url='dbname=a'\ndestination.type='null'",
       {"1:6 config.bad_value name is \"my shop\", but takes 1 to 40 letters, digits, _ and -"}},
      {"memory for less than a chunk",
       "name='a'\nsource.url='dbname=a'\ndestination.type='null'\ncopy.max_memory='1MiB'",
       {"4:17 config.bad_value copy.max_memory is smaller than copy.chunk_size (make it 8MiB or more)"}},
      {"two metadata columns of one name",
       "name='a'\nsource.url='dbname=a'\n[destination]\ntype='file'\npath='x'\noperation_column='_etl_position'",
       {"6:18 config.bad_value destination.position_column and destination.operation_column name the same column"}},
      {"a state that is no SQLite file",
       "name='a'\nsource.url='dbname=a'\ndestination.type='null'\nstate.url='mysql://x'",
       {"4:11 config.bad_value state.url is \"mysql://x\", but takes sqlite: and the path of a file"}},
      {"an unset environment variable",
       "name='a'\nsource.url={env='NOPE'}\ndestination.type='null'",
       {"2:17 config.no_secret source.url is to come from the environment variable NOPE, which is not set (set it for "
        "this process)"}},
      {"an empty environment variable",
       "name='a'\nsource.url={env='EMPTY'}\ndestination.type='null'",
       {"2:17 config.no_secret source.url is to come from the environment variable EMPTY, which is empty (set it for "
        "this process)"}},
      {"a secret that is not there",
       "name='a'\nsource.url={file='nope'}\ndestination.type='null'",
       {"2:18 config.no_secret source.url is to come from /etc/nope, which cannot be read: No such file or directory "
        "(a relative path is taken from this file's directory)"}},
      {"a secret from a place unknown",
       "name='a'\nsource.url={vault='x'}\ndestination.type='null'",
       {"2:13 config.unknown_key unknown key source.url.vault (source.url takes a text, { env = \"VARIABLE\" } or { "
        "file "
        "= \"path\" })"}},
      {"an empty list of tables",
       "name='a'\nsource.url='dbname=a'\nsource.tables=[]\ndestination.type='null'",
       {"3:15 config.bad_value source.tables is empty (leave the key out to take every table)"}},
      {"bad table names, each of them",
       "name='a'\nsource.url='dbname=a'\nsource.tables={include=['a.b.c',1],exclude=['!a'],but=[]}\ndestination.type='"
       "null'",
       {"3:25 config.table_pattern source.tables.include: 'a.b.c' does not name tables: it has more than a schema and "
        "a "
        "name (write schema.table as in SQL, as in \"sales.orders\", \"sales.*\" or \"\\\"Sales\\\".orders\")",
        "3:33 config.wrong_type source.tables.include wants texts in its array, not an integer",
        "3:45 config.table_pattern source.tables.exclude: '!a' does not name tables: the character '!' needs double "
        "quotes around it (write schema.table as in SQL, as in \"sales.orders\", \"sales.*\" or "
        "\"\\\"Sales\\\".orders\")",
        "3:51 config.unknown_key unknown key source.tables.but (source.tables takes an array of table names, or { "
        "include = […], exclude = […] })"}},
  }));
  CAPTURE(what);
  CHECK(problems_of(text) == expected);
}

TEST_CASE("a syntax error has its place, and repeats nothing that may be a password") {
  auto const at_line_3 =
      GENERATE("name = 'a'\n[source]\npassword = hunter2\n", "name = 'a'\n[source]\npassword = 'hunter2\n",
               "name = 'a'\n[source]\npassword = \"hunter2\n", "\n\npassword hunter2",
               "[source]\npassword = 'x'\npassword = 'hunter2'\n", "\n\nu = postgres://u:hunter2@h/d",
               "\n\n123hunter2 = 0x99999999999999999999999999hunter2");
  CAPTURE(at_line_3);
  auto const parsed = parse(at_line_3, "p.toml", home);
  REQUIRE(parsed.problems.size() == 1);
  auto const& only = parsed.problems.front();
  CHECK(only.code == "config.syntax");
  CHECK(only.line == 3);
  CHECK(only.column > 0);
  CHECK(only.message.size() > 10);
  CHECK_THAT(only.to_text(), !Catch::Contains("hunter2"));
  CHECK_FALSE(parsed.pipeline);
}

TEST_CASE("no message repeats a secret") {
  auto const text = GENERATE("name='a'\nsource.url='hunter2'\n", "name='a'\nsource.url={env='SECRET'}\n",
                             "name='a'\nsource.password=['hunter2']\n", "name='a'\nsource.url='http://u:hunter2@h'\n",
                             "name='a'\nsource.url='dbname=a\\u0000hunter2'\n");
  CAPTURE(text);
  auto const parsed = parse(text, "p.toml", home, true);
  CHECK_FALSE(parsed.problems.empty());
  for (auto const& p : parsed.problems) CHECK_THAT(p.to_text(), !Catch::Contains("hunter2"));
  for (auto const& p : parsed.warnings) CHECK_THAT(p.to_text(), !Catch::Contains("hunter2"));
}

TEST_CASE("a password in a file that others can read is warned about") {
  struct row {
    std::string_view line;
    std::size_t warnings;
  };
  auto const& [line, warnings] = GENERATE(values<row>({
      {"source.url='postgres://u@h/d'", 0},
      {"source.url='postgres://h:5432/d'", 0},
      {"source.url='postgres://u:p@h/d'", 1},
      {"source.url='postgres://h/d?user=u&password=p'", 1},
      {"source.url='host=h password=p'", 1},
      {"source.url='host=h user=u'", 0},
      {"source.url='host=h'\nsource.password='p'", 1},
      {"source.url='host=h'\nsource.password={env='SECRET'}", 0},
  }));
  CAPTURE(line);
  auto const text = "name='a'\ndestination.type='null'\n" + std::string(line);
  auto const open = parse(text, "p.toml", home, true);
  CHECK(told(open.problems) == lines{});
  CHECK(open.warnings.size() == warnings);
  CHECK(parse(text, "p.toml", home, false).warnings.empty());
}

TEST_CASE("without a home directory the state needs a place") {
  constexpr std::string_view text = "name='a'\nsource.url='dbname=a'\ndestination.type='null'\n";
  CHECK(told(parse(text, "p.toml", variables({{"HOME", "relative"}})).problems) ==
        lines{"0:0 config.no_state_home there is no place for the state: neither XDG_STATE_HOME nor HOME is set (set "
              "[state] url = \"sqlite:/var/lib/etl-stream/NAME.db\")"});
  auto const with_xdg = variables({{"HOME", "/h"}, {"XDG_STATE_HOME", "/x"}});
  CHECK(parse(text, "p.toml", with_xdg).pipeline->state.sqlite_path == "/x/etl-stream/a.db");
  auto const relative_xdg = variables({{"HOME", "/h"}, {"XDG_STATE_HOME", "x"}});
  CHECK(parse(text, "p.toml", relative_xdg).pipeline->state.sqlite_path == "/h/.local/state/etl-stream/a.db");
  CHECK(parse(std::string(text) + "state.url='sqlite:/s.db'", "p.toml", variables({})).pipeline->state.sqlite_path ==
        "/s.db");
}

TEST_CASE("secrets come from files, without their last line feed") {
  directory const here;
  here.write("one", "hunter2\n");
  here.write("two", "hunter2\r\n");
  here.write("keeps", " hunter2\n\n");
  here.write("empty", "\n");
  here.write("open", "hunter2", 0644);
  here.write("large", std::string(100'000, 'x'));
  auto const with = [&](std::string const& name) {
    return parse("name='a'\nsource.url='host=h'\ndestination.type='null'\nsource.password.file='" + name + "'",
                 here / "p.toml", home);
  };
  CHECK(with("one").pipeline->source.password->reveal() == "hunter2");
  CHECK(with("./two").pipeline->source.password->reveal() == "hunter2");
  CHECK(with(here / "keeps").pipeline->source.password->reveal() == " hunter2\n");
  CHECK(with("one").warnings.empty());
  CHECK(told(with("open").warnings) == lines{"4:22 config.exposed_secret everyone can read " + (here / "open") +
                                             ", from which source.password comes (chmod o= " + (here / "open") + ")"});
  CHECK(with("empty").problems.at(0).code == "config.no_secret");
  CHECK(with("large").problems.at(0).code == "config.no_secret");
  CHECK(with(".").problems.at(0).code == "config.no_secret");
}

TEST_CASE("several files are loaded in order, and what they share is refused") {
  directory const here;
  auto const pipeline = [](std::string const& name, std::string const& more, std::string const& type = "'null'") {
    return "name='" + name + "'\nsource.url='dbname=shop'\n" + more + "\ndestination.type=" + type + "\n";
  };
  auto const a = here.write("a.toml", pipeline("a", ""));
  auto const b = here.write("b.toml", pipeline("b", ""));
  SECTION("two that get along") {
    auto const outcome = load(std::vector{b, a}, home);
    CHECK(told(outcome.problems) == lines{});
    REQUIRE(outcome.pipelines.size() == 2);
    CHECK(outcome.pipelines[0].name == "b");
    CHECK(outcome.pipelines[1].name == "a");
  }
  SECTION("one name twice") {
    auto const c = here.write("c.toml", pipeline("a", ""));
    auto const outcome = load(std::vector{a, c}, home);
    CHECK(told(outcome.problems) == lines{"1:6 config.clash the name a is that of the pipeline in " + a +
                                          ", too (give every pipeline a name of its own)"});
    CHECK(outcome.problems.at(0).file == c);
    CHECK(outcome.pipelines.empty());
  }
  SECTION("one slot, state and directory twice") {
    auto const shared = "source.slot='s'\nstate.url='sqlite:s.db'\ndestination.path='out'";
    auto const c = here.write("c.toml", pipeline("c", shared, "'file'"));
    auto const d = here.write("d.toml", pipeline("d", shared, "'file'"));
    CHECK(
        told(load(std::vector{c, d}, home).problems) ==
        lines{"3:13 config.clash the pipelines c and d use the slot s of one source (set source.slot: a slot serves "
              "one pipeline)",
              "5:18 config.clash the pipelines c and d write to " + (here / "out") + " (give each a place of its own)",
              "4:11 config.clash the pipelines c and d keep their state in " + (here / "s.db") +
                  " (give each a file of its own)"});
  }
  SECTION("files that cannot be read, and one that is wrong") {
    auto const wrong = here.write("wrong.toml", "x = 1");
    auto const outcome = load(std::vector{here / "none.toml", a, std::string("/"), wrong}, home);
    REQUIRE(outcome.problems.size() == 6);
    CHECK(outcome.problems[0].to_text() ==
          (here / "none.toml") + ": the file cannot be read: No such file or directory");
    CHECK(outcome.problems[1].to_text() == "/: the file cannot be read: Is a directory");
    CHECK(outcome.problems[2].file == wrong);
    CHECK(outcome.pipelines.empty());
  }
  SECTION("a password that others can read") {
    auto const open = here.write("open.toml", pipeline("o", "source.password='p'"), 0640);
    auto const shut = here.write("shut.toml", pipeline("s", "source.password='p'"), 0600);
    auto const outcome = load(std::vector{open, shut}, home);
    CHECK(told(outcome.problems) == lines{});
    REQUIRE(outcome.warnings.size() == 1);
    CHECK(outcome.warnings[0].file == open);
    CHECK(outcome.warnings[0].hint ==
          "write password = { env = \"VARIABLE\" } or { file = \"path\" }, or take the right away: chmod go= " + open);
  }
}

TEST_CASE("columns with a policy of their own") {
  auto const file = parse(
      "name='a'\nsource.url='dbname=a'\ndestination.type='duckdb'\ndestination.path='/x'\n"
      "[destination.columns.'Sales.\"Odd.Table\".Rate']\non_unrepresentable='null'\n"
      "[destination.columns.\"t.c\"]\non_unrepresentable='error'\n",
      "/p.toml", [](std::string const&) { return std::optional<std::string>("/h"); });
  REQUIRE(file.pipeline);
  auto columns = file.pipeline->destination.columns;
  std::ranges::sort(columns, {}, &column_config::schema);
  CHECK(columns == std::vector<column_config>{{"public", "t", "c", unrepresentable::error},
                                              {"sales", "Odd.Table", "rate", unrepresentable::null}});
}
