# Target gwq_text_rust: the Rust static library, built by cargo. With GWQ_DEPS its objects are shared by every build
# folder of the machine; cargo itself locks the folder and rebuilds only what changed. `cargo fetch --locked`
# beforehand makes the build work without a network.
find_program(GWQ_CARGO cargo HINTS $ENV{HOME}/.cargo/bin REQUIRED)

if(GWQ_DEPS)
  set(crate_target ${GWQ_DEPS}/crates/target)
else()
  set(crate_target ${CMAKE_BINARY_DIR}/crates)
endif()
set(crate_output ${crate_target}/release/libgwq_text.a)
set(crate_library ${CMAKE_CURRENT_BINARY_DIR}/rust/libgwq_text_rust.a)
file(GLOB crate_sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/src/*.rs)

# Copied into the build folder: another checkout that shares the cargo folder may hold other sources.
add_custom_command(
  OUTPUT ${crate_library}
  COMMAND ${GWQ_CARGO} build --release --locked --manifest-path ${CMAKE_CURRENT_LIST_DIR}/Cargo.toml
          --target-dir ${crate_target}
  COMMAND ${CMAKE_COMMAND} -E copy ${crate_output} ${crate_library}
  DEPENDS ${crate_sources} ${CMAKE_CURRENT_LIST_DIR}/Cargo.toml ${CMAKE_CURRENT_LIST_DIR}/Cargo.lock
  COMMENT "cargo build libgwq_text.a"
  USES_TERMINAL VERBATIM)
add_custom_target(gwq_text_rust_build DEPENDS ${crate_library})

add_library(gwq_text_rust STATIC IMPORTED GLOBAL)
set_target_properties(gwq_text_rust PROPERTIES IMPORTED_LOCATION ${crate_library})
target_link_libraries(gwq_text_rust INTERFACE Threads::Threads ${CMAKE_DL_LIBS} m)
add_dependencies(gwq_text_rust gwq_text_rust_build)
