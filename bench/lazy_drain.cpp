// The yardstick of the stream benchmarks: takes a replication stream off the socket and looks at nothing but LSNs, in
// one of the habits that let the walsender be fast. What it needs is what the server can give at most.
//
// usage: lazy_drain CONNINFO SLOT PUBLICATION END_LSN HABIT
//   HABIT: eager | once:MICROSECONDS (one read, then a pause) | drain:MICROSECONDS:RCVBUF (a pause, then read all)
#include <fcntl.h>
#include <libpq-fe.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace {

std::uint64_t parse_lsn(char const* text) {
  unsigned high = 0, low = 0;
  if (std::sscanf(text, "%X/%X", &high, &low) != 2) std::exit(2);
  return std::uint64_t{high} << 32 | low;
}

std::uint64_t read_u64(char const* at) {
  std::uint64_t value = 0;
  for (int i = 0; i < 8; ++i) value = value << 8 | static_cast<unsigned char>(at[i]);
  return value;
}

void put_u64(char* at, std::uint64_t value) {
  for (int i = 7; i >= 0; --i, value >>= 8) at[i] = static_cast<char>(value & 255);
}

void send_status(PGconn* connection, std::uint64_t at, bool ask) {
  char message[34] = {'r'};
  put_u64(message + 1, at);
  put_u64(message + 9, at);
  put_u64(message + 17, at);
  message[33] = ask ? 1 : 0;
  PQputCopyData(connection, message, sizeof message);
  PQflush(connection);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 6) {
    std::fprintf(stderr, "usage: %s CONNINFO SLOT PUBLICATION END_LSN HABIT\n", argv[0]);
    return 2;
  }
  std::uint64_t const end = parse_lsn(argv[4]);
  std::string const habit = argv[5];
  long pause_us = 0;
  int receive_buffer = 0;
  bool const once = std::sscanf(habit.c_str(), "once:%ld", &pause_us) == 1;
  bool const drain = std::sscanf(habit.c_str(), "drain:%ld:%d", &pause_us, &receive_buffer) >= 1;

  PGconn* const connection = PQconnectdb((std::string(argv[1]) + " replication=database").c_str());
  if (PQstatus(connection) != CONNECTION_OK) {
    std::fprintf(stderr, "%s", PQerrorMessage(connection));
    return 1;
  }
  int const socket = PQsocket(connection);
  if (receive_buffer > 0) setsockopt(socket, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
  std::string const start = std::string("START_REPLICATION SLOT ") + argv[2] +
                            " LOGICAL 0/0 (proto_version '1', publication_names '" + argv[3] + "')";
  PGresult* const begun = PQexec(connection, start.c_str());
  if (PQresultStatus(begun) != PGRES_COPY_BOTH) {
    std::fprintf(stderr, "%s", PQerrorMessage(connection));
    return 1;
  }
  PQclear(begun);
  PQsetnonblocking(connection, 1);

  auto const begin = std::chrono::steady_clock::now();
  std::uint64_t seen = 0, messages = 0, bytes = 0;
  while (seen < end) {
    char* row = nullptr;
    int size = 0;
    while ((size = PQgetCopyData(connection, &row, 1)) > 0) {
      ++messages;
      bytes += static_cast<std::uint64_t>(size);
      if (row[0] == 'w' && size > 25 && row[25] == 'C') {
        seen = read_u64(row + 25 + 1 + 1 + 8);  // Commit: the end LSN
      } else if (row[0] == 'k') {
        if (read_u64(row + 1) > seen) seen = read_u64(row + 1);
        if (row[17] == 1) send_status(connection, 0, false);
      }
      PQfreemem(row);
    }
    if (size < 0) {
      std::fprintf(stderr, "the stream ended: %s", PQerrorMessage(connection));
      return 1;
    }
    if (seen >= end) break;
    pollfd readable{socket, POLLIN, 0};
    if (poll(&readable, 1, 200) == 0) send_status(connection, 0, true);
    if (once || drain) {
      timespec const pause{pause_us / 1'000'000, pause_us % 1'000'000 * 1000};
      nanosleep(&pause, nullptr);
    }
    for (int waiting = 1; waiting > 0;) {
      if (PQconsumeInput(connection) == 0) break;
      if (!drain || ioctl(socket, FIONREAD, &waiting) != 0) break;
    }
  }
  std::chrono::duration<double> const took = std::chrono::steady_clock::now() - begin;
  send_status(connection, 0, false);
  std::printf("{\"seconds\": %.3f, \"messages\": %llu, \"bytes\": %llu}\n", took.count(),
              static_cast<unsigned long long>(messages), static_cast<unsigned long long>(bytes));
  PQfinish(connection);
  return 0;
}
