# Flags for our own targets travel with the interface target mu_flags; third-party headers are SYSTEM.
add_library(mu_flags INTERFACE)
target_include_directories(mu_flags INTERFACE ${CMAKE_SOURCE_DIR})
target_compile_definitions(mu_flags INTERFACE _GNU_SOURCE)
set(mu_c $<COMPILE_LANGUAGE:C>)
target_compile_options(mu_flags INTERFACE
  $<${mu_c}:-Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wmissing-prototypes -Wvla
            -Wstrict-prototypes -Wformat=2 -Werror=format-security -Wundef -Werror>
  -g -fno-omit-frame-pointer -ffp-contract=off -fstack-protector-strong -fstack-clash-protection)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  target_compile_options(mu_flags INTERFACE -fcf-protection=full)
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64")
  target_compile_options(mu_flags INTERFACE -mbranch-protection=standard)
endif()
target_link_options(mu_flags INTERFACE -pie -Wl,-z,relro,-z,now,-z,noexecstack)
if(MU_SANITIZE)
  target_compile_options(mu_flags INTERFACE -fsanitize=${MU_SANITIZE} -fno-sanitize-recover=all)
  target_link_options(mu_flags INTERFACE -fsanitize=${MU_SANITIZE})
elseif(CMAKE_BUILD_TYPE MATCHES "Rel")
  # Fortify needs an optimised build and fights the sanitizers' own interceptors.
  target_compile_options(mu_flags INTERFACE -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3)
endif()
if(MU_SANITIZE OR MU_COVERAGE OR MU_FUZZ)
  target_compile_definitions(mu_flags INTERFACE MU_VERIFY_ON=1) # engine/base/assert.h
endif()
if(MU_COVERAGE)
  target_compile_options(mu_flags INTERFACE --coverage -O0)
  target_link_options(mu_flags INTERFACE --coverage)
endif()
if(MU_FUZZ)
  target_compile_options(mu_flags INTERFACE -fsanitize=fuzzer-no-link)
  target_link_options(mu_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
