# Everything that is not ours: Debian packages by pkg-config or CMake package, wheels and crates from GWQ_DEPS.

find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(absl REQUIRED)
find_package(OpenSSL REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(fmt REQUIRED)
find_package(spdlog REQUIRED)
find_package(SQLite3 REQUIRED)
pkg_check_modules(GWQ_IMAGE_LIBRARIES REQUIRED IMPORTED_TARGET libjpeg libpng libwebp)
if(GWQ_BUILD_TESTS)
  find_package(GTest REQUIRED)
endif()
if(GWQ_BUILD_BENCH)
  find_package(benchmark REQUIRED)
endif()

if(GWQ_BUILD_SERVICES)
  find_package(Protobuf REQUIRED)
  find_package(gRPC CONFIG REQUIRED)  # pkg-config takes half a minute for grpc++
  find_program(GRPC_CPP_PLUGIN grpc_cpp_plugin REQUIRED)
  find_package(prometheus-cpp REQUIRED)
  find_package(CLI11 REQUIRED)

  # LibTorch out of the wheel, without its CMake package (which asks for a CUDA toolkit).
  set(torch_root ${GWQ_DEPS}/site/torch)
  if(NOT EXISTS ${torch_root}/lib/libtorch_cpu.so)
    message(FATAL_ERROR "LibTorch not found under GWQ_DEPS='${GWQ_DEPS}': run deploy/setup first and pass the folder it prints")
  endif()
  add_library(gwq_libtorch INTERFACE)
  # After the system's folders: the wheel holds a newer fmt and protobuf, whose libraries it does not.
  target_compile_options(gwq_libtorch INTERFACE "SHELL:-idirafter ${torch_root}/include")
  target_link_libraries(gwq_libtorch INTERFACE
    ${torch_root}/lib/libtorch_cpu.so ${torch_root}/lib/libc10.so
    -Wl,-rpath,${torch_root}/lib -Wl,-rpath-link,${GWQ_DEPS}/site/nvidia/cu13/lib)
endif()
