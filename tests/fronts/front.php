<?php
// A log-in with PHP's own sessions, for `php -S`. STORE says where they are kept, SERIALIZER how they are written, and
// LIFETIME for how long, if not for as long as usual.

final class Profile
{
    public string $name = '';
    protected array $tags = [];
    private float $score = 0.1;
    public ?Profile $friend = null;

    public function __construct(string $name, array $tags)
    {
        $this->name = $name;
        $this->tags = $tags;
    }
}

[$handler, $place] = explode(':', getenv('STORE'), 2);
ini_set('session.save_handler', $handler);
// The extension for Redis has a scheme of its own.
ini_set('session.save_path', $handler === 'redis' ? "tcp:$place" : $place);
ini_set('session.serialize_handler', getenv('SERIALIZER'));
ini_set('session.gc_maxlifetime', getenv('LIFETIME') ?: '1440');
// Every request looks for sessions that are over.
ini_set('session.gc_probability', '1');
ini_set('session.gc_divisor', '1');
session_start();
switch (parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH)) {
    case '/login':
        session_regenerate_id(true);
        $profile = new Profile('Ada', ['a', 'ü|;}']);
        // What contains itself, and what is there twice.
        $profile->friend = $profile;
        $_SESSION = ['user' => $_GET['u'], 'roles' => ['admin', 'staff'], 'profile' => $profile, 'again' => $profile];
        $_SESSION['alias'] = &$_SESSION['user'];
        break;
    case '/simple':
        // Without anything that refers to another value.
        $_SESSION = ['user' => 'ada', 'cart' => [7]];
        break;
    case '/logout':
        unset($_SESSION['user'], $_SESSION['alias']);
        break;
    case '/destroy':
        session_destroy();
        break;
    case '/slow':
        // With the session locked, as it is for every request.
        sleep(3);
        break;
}
header('Content-Type: application/json');
echo json_encode(['user' => $_SESSION['user'] ?? null, 'roles' => $_SESSION['roles'] ?? [],
    'cart' => $_SESSION['cart'] ?? null]);
