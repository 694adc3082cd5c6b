#include "cli/completions.hpp"

#include <catch2/catch.hpp>

#include "cli/commands.hpp"

using namespace etl::cli;
using Catch::Contains;

TEST_CASE("every command, option and choice is in every shell's completions") {
  arguments ignored;
  auto const parser = make_parser(ignored);
  auto const bash = bash_completion(*parser);
  auto const zsh = zsh_completion(*parser);
  auto const fish = fish_completion(*parser);
  auto const everywhere = [&](std::string const& name) {
    CHECK_THAT(bash, Contains(name));
    CHECK_THAT(zsh, Contains(name));
    CHECK_THAT(fish, Contains(name.substr(name.find_first_not_of('-'))));
  };
  auto const commands = parser->get_subcommands([](CLI::App const*) { return true; });
  REQUIRE_FALSE(commands.empty());
  for (auto const* command : commands) {
    everywhere(command->get_name());
    CHECK_THAT(command->get_description(), !Contains("'"));
    for (auto const* option : command->get_options()) {
      for (auto const& name : option->get_lnames()) everywhere("--" + name);
      for (auto const& choice : choices_of(*option)) everywhere(choice);
      CHECK_THAT(option->get_description(), !Contains("'"));
    }
  }
}

TEST_CASE("an option's values are known") {
  arguments ignored;
  auto const parser = make_parser(ignored);
  auto const* run = parser->get_subcommand("run");
  CHECK(choices_of(*run->get_option("--log-format")) == std::vector<std::string>{"auto", "text", "json"});
  CHECK(choices_of(*run->get_option("--threads")).empty());
  CHECK(value_name(*run->get_option("--threads")) == "N");
  CHECK(value_name(*run->get_option("--log-level")) == "LEVEL");
  CHECK(value_name(*run->get_option("--once")).empty());
}
