# One way to declare a library, a program and a test, so that flags and layering stay in one place.

# g++ collects its garbage when its heap has doubled, which costs a tenth of a file's time and saves memory that there is (deploy/build
# counts 1.5 GB a compiler).
add_compile_options($<$<CXX_COMPILER_ID:GNU>:--param=ggc-min-heapsize=1048576>)

# gRPC's CMake package compiles with it: all do, or a file with gRPC and one without could not share precompiled headers.
add_compile_options(-pthread)

add_library(gwq_flags INTERFACE)
target_include_directories(gwq_flags INTERFACE ${CMAKE_SOURCE_DIR})
target_compile_options(gwq_flags INTERFACE
  -Wall -Wextra -Wconversion -Wno-sign-conversion $<$<CXX_COMPILER_ID:GNU>:-Werror>
  # Clang 18 changed how it names constrained templates; Debian's Abseil carries g++ 12's names. g++ says itself what is deprecated, but for
  # what libstdc++ uses within itself.
  $<$<CXX_COMPILER_ID:Clang>:-Wthread-safety -Werror=thread-safety -fclang-abi-compat=17 -Wno-deprecated-declarations>)
if(GWQ_SANITIZE)
  target_compile_options(gwq_flags INTERFACE -fsanitize=${GWQ_SANITIZE} -fno-omit-frame-pointer -g1)
  target_link_options(gwq_flags INTERFACE -fsanitize=${GWQ_SANITIZE})
  if(GWQ_SANITIZE MATCHES undefined)
    target_compile_options(gwq_flags INTERFACE -fno-sanitize-recover=undefined)
  endif()
endif()

# Coverage of our own code is what steers the fuzzer.
if(GWQ_BUILD_FUZZ)
  target_compile_options(gwq_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()

# gwq_library(NAME SOURCES... [DEPS target...]): a static library whose headers are included by their path from the root.
function(gwq_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  if(ARG_SOURCES)
    add_library(${name} STATIC ${ARG_SOURCES})
    target_link_libraries(${name} PUBLIC gwq_flags ${ARG_DEPS})
  else()
    add_library(${name} INTERFACE)
    target_link_libraries(${name} INTERFACE gwq_flags ${ARG_DEPS})
  endif()
endfunction()

# What moves messages: the protos, the services and the client, which is a third of all code to compile. It waits for disks, clients and
# core/, whose loops are compiled with CMake's -O3; -O1 takes a quarter less time for it. One level for all three, because g++ 12 breaks off
# ("during IPA pass: cp") where a file is optimized more than the precompiled headers it takes.
set(GWQ_SERVICE_OPTIONS -O1)

# Under ThreadSanitizer and for fuzzing nothing is precompiled, so that every file names what it needs.
set(gwq_precompiles TRUE)
if(GWQ_SANITIZE STREQUAL thread OR GWQ_BUILD_FUZZ)
  set(gwq_precompiles FALSE)
endif()

# gwq_precompile_headers(NAME HEADERS...): the target and those that reuse its headers read them once.
function(gwq_precompile_headers name)
  if(gwq_precompiles)
    target_precompile_headers(${name} PRIVATE ${ARGN})
  endif()
endfunction()

# gwq_reuse_headers(FROM NAMES...): the targets are compiled with the precompiled headers of FROM.
function(gwq_reuse_headers from)
  if(gwq_precompiles)
    foreach(name ${ARGN})
      target_precompile_headers(${name} REUSE_FROM ${from})
    endforeach()
  endif()
endfunction()

function(gwq_program name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE gwq_flags ${ARG_DEPS})
  # As the libraries, whose precompiled headers it may take.
  target_compile_options(${name} PRIVATE -fPIC)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
endfunction()

# gwq_test(NAME SOURCES... [DEPS target...] [LABELS label...] [TIMEOUT seconds]): one gtest binary, one ctest entry.
# GWQ_TEST_HEADERS is the target whose precompiled headers the tests of a folder take. The test sees GWQ_SOURCE_DIR, GWQ_BIN_DIR and
# GWQ_DEPS in its environment. Label "core" also runs under the sanitizers;
# those with the label "tsan", which run under ThreadSanitizer, are built by the target tsan_tests.
# The longer a test may take the earlier it starts (COST), so that none runs alone at the end.
# LibTorch's threads would otherwise spin between operations, which on a busy machine makes two of them several times slower than one.
function(gwq_test name)
  cmake_parse_arguments(ARG "" "TIMEOUT" "SOURCES;DEPS;LABELS" ${ARGN})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 300)
  endif()
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE gwq_flags ${ARG_DEPS} GTest::gmock GTest::gtest_main)
  gwq_reuse_headers(${GWQ_TEST_HEADERS} ${name})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  if("tsan" IN_LIST ARG_LABELS)
    if(NOT TARGET tsan_tests)
      add_custom_target(tsan_tests)
    endif()
    add_dependencies(tsan_tests ${name})
  endif()
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES
    TIMEOUT ${ARG_TIMEOUT} COST ${ARG_TIMEOUT} LABELS "${ARG_LABELS}"
    ENVIRONMENT "GWQ_SOURCE_DIR=${CMAKE_SOURCE_DIR};GWQ_BIN_DIR=${CMAKE_BINARY_DIR}/bin;GWQ_DEPS=${GWQ_DEPS};OMP_WAIT_POLICY=PASSIVE")
endfunction()

# gwq_fuzz(NAME SOURCES... [DEPS target...]): a libFuzzer binary under fuzz/ (clang, -DGWQ_BUILD_FUZZ=ON), built by the
# target fuzz_targets; tests/run --fuzz runs them all.
function(gwq_fuzz name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE gwq_flags ${ARG_DEPS})
  target_link_options(${name} PRIVATE -fsanitize=fuzzer)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/fuzz)
  if(NOT TARGET fuzz_targets)
    add_custom_target(fuzz_targets)
  endif()
  add_dependencies(fuzz_targets ${name})
endfunction()
