#include "runtime/blocking_worker.hpp"

#include <pthread.h>

#include <boost/asio/post.hpp>
#include <string>

namespace etl::runtime {

blocking_worker::blocking_worker(char const* name) {
  asio::post(thread_, [name = std::string(name)] { pthread_setname_np(pthread_self(), name.c_str()); });
}

}  // namespace etl::runtime
