#include "destination/postgres/transferable.hpp"

#include <algorithm>
#include <array>

namespace etl::destination {
namespace {

// PostgreSQL gives built-in objects OIDs below this (src/include/access/transam.h, FirstGenbkiObjectId); they never
// change. Whatever initdb or a user makes differs from server to server.
constexpr std::uint32_t first_assigned_oid = 10'000;

// Built-in types, and arrays of these, whose binary form holds OIDs of objects (reg…, aclitem), a server's internals,
// or a layout that differs between major versions; and those whose receive functions refuse the empty value that their
// send functions make: tsquery, int2vector, oidvector.
constexpr std::array<std::uint32_t, 52> tied_to_a_server{
    22,    // int2vector
    24,    // regproc
    27,    // tid
    28,    // xid
    29,    // cid
    30,    // oidvector
    71,    // pg_type
    75,    // pg_attribute
    81,    // pg_proc
    83,    // pg_class
    194,   // pg_node_tree
    210,   // pg_type[]
    270,   // pg_attribute[]
    272,   // pg_proc[]
    273,   // pg_class[]
    1006,  // int2vector[]
    1008,  // regproc[]
    1010,  // tid[]
    1011,  // xid[]
    1012,  // cid[]
    1013,  // oidvector[]
    1033,  // aclitem
    1034,  // aclitem[]
    1790,  // refcursor
    2201,  // refcursor[]
    2202,  // regprocedure
    2203,  // regoper
    2204,  // regoperator
    2205,  // regclass
    2206,  // regtype
    2207,  // regprocedure[]
    2208,  // regoper[]
    2209,  // regoperator[]
    2210,  // regclass[]
    2211,  // regtype[]
    2949,  // txid_snapshot[]
    2970,  // txid_snapshot
    3361,  // pg_ndistinct
    3402,  // pg_dependencies
    3615,  // tsquery
    3645,  // tsquery[]
    3734,  // regconfig
    3735,  // regconfig[]
    3769,  // regdictionary
    3770,  // regdictionary[]
    4089,  // regnamespace
    4090,  // regnamespace[]
    4096,  // regrole
    4097,  // regrole[]
    4191,  // regcollation
    4192,  // regcollation[]
    5017,  // pg_mcv_list
};
static_assert(std::is_sorted(tied_to_a_server.begin(), tied_to_a_server.end()));

bool transferable(model::column const& column) {
  auto const type = column.type_kind == 'd' ? column.base_type_oid : column.type_oid;
  // An enum is sent as its label. An array of enums carries the enum's OID, and has typtype b.
  if (column.type_kind == 'e') return true;
  if (type == 0 || type >= first_assigned_oid || column.element_oid >= first_assigned_oid) return false;
  return !std::binary_search(tied_to_a_server.begin(), tied_to_a_server.end(), type);
}

}  // namespace

bool binary_transferable(model::relation const& table) {
  return std::all_of(table.columns.begin(), table.columns.end(), transferable);
}

}  // namespace etl::destination
