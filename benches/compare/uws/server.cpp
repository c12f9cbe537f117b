// uWebSockets as a peer: `uws echo|broadcast PORT`, as its documentation shows it.
#include "App.h"

#include <cstdio>
#include <cstdlib>
#include <string_view>

struct Nothing {};

int main(int count, char **arguments) {
    if (count != 3) {
        return EXIT_FAILURE;
    }
    const bool broadcast = std::string_view(arguments[1]) == "broadcast";
    uWS::App app;
    app.ws<Nothing>("/*", {
        // Its default of 16 KiB is less than what some runs send; what it keeps for slow readers as with the others.
        .maxPayloadLength = 64 * 1024 * 1024,
        .maxBackpressure = 64 * 1024 * 1024,
        .open = [broadcast](auto *socket) {
            if (broadcast) {
                socket->subscribe("all");
            }
        },
        .message = [&app, broadcast](auto *socket, std::string_view message, uWS::OpCode opcode) {
            if (broadcast) {
                app.publish("all", message, opcode);
            } else {
                socket->send(message, opcode);
            }
        },
    });
    app.listen("127.0.0.1", std::atoi(arguments[2]), [](auto *listening) {
        if (listening) {
            std::puts("ready");
            std::fflush(stdout);
        }
    });
    app.run();
    // It returns when there is nothing to wait for: it could not listen.
    return EXIT_FAILURE;
}
