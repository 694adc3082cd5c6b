#pragma once

#include <catch2/catch.hpp>
#include <string>

#include "base/error.hpp"

// What a test that fails on CHECK(result) prints.
template <class T>
struct Catch::StringMaker<etl::result<T>> {
  static std::string convert(etl::result<T> const& outcome) {
    return outcome ? "success" : std::string(outcome.error().code) + ": " + outcome.error().to_text();
  }
};
