#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "pgoutput/frame.hpp"
#include "pgoutput/message.hpp"

namespace pgoutput {

// Decodes the messages of one replication connection, in their order: messages between stream_start and stream_stop
// have one field more, so the decoder remembers where it is. Not thread-safe. Allocates only while its scratch memory
// grows to the widest row seen (24 bytes a column), never a row.
class decoder {
 public:
  // Decodes one message, all of `bytes`. `out` borrows from `bytes` and from the decoder: it is valid until the next
  // call, and while `bytes` is. Nothing when it succeeds; when it fails `out` is unspecified, and the connection should
  // be given up, since what follows may depend on the message.
  [[nodiscard]] std::optional<failure> decode(std::string_view bytes, message& out);

 private:
  std::vector<value> old_values_;
  std::vector<value> new_row_;
  std::vector<relation_column> columns_;
  std::vector<std::uint32_t> oids_;
  bool in_stream_ = false;
};

}  // namespace pgoutput
