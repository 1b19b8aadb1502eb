# cmake --install: the program, the libraries, the headers and an exported package ptq:: for C++ users.
