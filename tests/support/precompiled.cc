// Owns the precompiled header; there is nothing else to compile.
