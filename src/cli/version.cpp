#include "cli/version.hpp"

namespace etl::cli {

// The build passes the versions that it found, so that no library's header has to be read here.
std::string version_text() { return "etl-stream " ETL_VERSION "\nbuilt by " ETL_COMPILER "\nwith " ETL_LIBRARIES "\n"; }

}  // namespace etl::cli
