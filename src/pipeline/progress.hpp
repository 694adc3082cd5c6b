#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace etl::pipeline {

enum class table_copy : std::uint8_t { waiting, running, done };

struct table_progress {
  std::string name;  // for people, as in `public.orders`
  table_copy state = table_copy::waiting;
  std::uint64_t rows = 0;         // read in all, those of earlier runs included
  std::uint64_t bytes = 0;        // of the table's heap that were read
  std::uint64_t bytes_total = 0;  // the heap's size when it was planned: an estimate; zero: unknown
};

// How far a pipeline's copy is. Rates and the time left are the display's work.
struct copy_snapshot {
  std::string pipeline;
  std::vector<table_progress> tables;
};

// Where pipelines show how far their copies are. Safe from every core; each call is short, but may write to a
// terminal: a few times a second is enough.
class progress_sink {
 public:
  virtual ~progress_sink() = default;
  virtual void show(copy_snapshot const& now) = 0;
  // That pipeline's copy has ended, however it did.
  virtual void done(std::string_view pipeline) = 0;
};

}  // namespace etl::pipeline
