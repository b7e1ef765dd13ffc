# Who may link whom: the table of layers in README.md, Architecture, enforced while configuring, so
# that no build can break it. tools/check-includes enforces the same table on the includes.

# Everything that `target` links must be named in ARGN. A helper library of the project (generated
# code, an adapter) that is not named there counts as a part of the layer and is looked into.
function(mu_check_layer layer target)
  foreach(property IN ITEMS LINK_LIBRARIES INTERFACE_LINK_LIBRARIES)
    get_target_property(links ${target} ${property})
    if(NOT links)
      continue()
    endif()
    foreach(link IN LISTS links)
      string(REGEX REPLACE "^\\$<LINK_ONLY:(.*)>$" "\\1" link "${link}")
      if(link IN_LIST ARGN OR link MATCHES "^::@")
        continue()
      elseif(link MATCHES "^mu_" AND TARGET ${link} AND NOT link IN_LIST MU_LAYERS)
        mu_check_layer(${layer} ${link} ${ARGN})
      else()
        message(FATAL_ERROR "${target} links ${link}, which the table of layers does not allow ${layer}")
      endif()
    endforeach()
  endforeach()
endfunction()

set(MU_LAYERS mu_base mu_engine mu_shards mu_informer mu_tools)
mu_check_layer(mu_base mu_base mu_flags Threads::Threads PkgConfig::ck PkgConfig::libxxhash PkgConfig::jemalloc)
mu_check_layer(mu_engine mu_engine mu_flags mu_base)
mu_check_layer(mu_shards mu_shards mu_flags mu_base mu_engine)
mu_check_layer(mu_informer mu_informer mu_flags mu_base mu_engine Threads::Threads
  PkgConfig::libuv PkgConfig::libnghttp2 PkgConfig::libprotobuf_c PkgConfig::libfyaml
  PkgConfig::jansson PkgConfig::liblzma OpenSSL::SSL OpenSSL::Crypto
  ${LLHTTP_LIBRARY} ${HTTP_PARSER_LIBRARY})
