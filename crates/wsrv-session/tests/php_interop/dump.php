<?php
// Reads lines `handler hex`, and prints for each what PHP makes of the bytes: `-` if it refuses them, `!` if the value
// is too large to be written out, and else the value, as `dump` in php_interop.rs writes it.

error_reporting(0);

enum Suit { case Hearts; case Spades; }

class Custom implements Serializable {
    public string $payload = '';
    public function serialize() { return $this->payload; }
    public function unserialize($payload) {
        $this->payload = $payload;
        if (strlen($payload) > 1) unserialize($payload);
    }
}

final class TooLarge extends Exception {}

function dump($value, int &$left, int $depth): string {
    if (--$left < 0 || $depth < 0) throw new TooLarge();
    switch (true) {
        case $value === null: return 'N';
        case is_bool($value): return $value ? 'b1' : 'b0';
        case is_int($value): return "i$value";
        case is_float($value): return 'd' . bin2hex(pack('E', $value));
        case is_string($value): return 's' . bin2hex($value);
        case $value instanceof Suit: return 'E' . bin2hex($value->name);
        case $value instanceof Custom: return 'C' . bin2hex($value->payload);
    }
    $out = 'a{';
    $is_object = is_object($value);
    if ($is_object) {
        $value = (array) $value;
        $class = $value['__PHP_Incomplete_Class_Name'] ?? 'stdClass';
        unset($value['__PHP_Incomplete_Class_Name']);
        $out = 'O' . bin2hex($class) . '{';
    }
    foreach ($value as $key => $member) {
        $out .= (is_int($key) && !$is_object ? "i$key" : 's' . bin2hex($key)) . '=' . dump($member, $left, $depth - 1) . ',';
    }
    return $out . '}';
}

class Store implements SessionHandlerInterface {
    public string $data = '';
    public bool $destroyed = false;
    public function open($path, $name): bool { return true; }
    public function close(): bool { return true; }
    public function read($id): string { return $this->data; }
    public function write($id, $data): bool { return true; }
    public function destroy($id): bool { return $this->destroyed = true; }
    public function gc($lifetime): int { return 0; }
}

// Nothing may be sent before the last session has begun.
ob_start();
ini_set('session.use_cookies', '0');
ini_set('session.cache_limiter', '');
$store = new Store();
session_set_save_handler($store, false);
while (($line = fgets(STDIN)) !== false) {
    [$handler, $hex] = explode(' ', rtrim($line, "\n"));
    $data = hex2bin($hex);
    $left = 3000;
    try {
        if ($handler === 'value') {
            $value = unserialize($data, ['allowed_classes' => ['Suit', 'Custom']]);
            $refused = $value === false && $data !== 'b:0;';
        } else {
            ini_set('session.serialize_handler', $handler);
            session_id('x');
            $store->data = $data;
            $store->destroyed = false;
            session_start();
            $refused = $store->destroyed;
            $value = $_SESSION;
            session_abort();
        }
        echo $refused ? '-' : dump($value, $left, 60), "\n";
    } catch (TooLarge) {
        echo "!\n";
    } catch (Throwable $error) {
        echo "-\n";
    }
}
