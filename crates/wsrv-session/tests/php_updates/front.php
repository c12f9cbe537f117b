<?php
// Pages of a front end, for `php -S`. How it keeps its sessions is said by settings on the command line.

enum Suit { case Hearts; }

final class Profile
{
    public string $name = 'Ada';
    protected array $tags = ['a', "ü|;}\0"];
    private float $score = 0.1;
}

// As older settings have it: 0.1 is written as 0.10000000000000001.
ini_set('serialize_precision', '17');
session_start();
$answer = null;
switch (parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH)) {
    case '/start':
        $_SESSION = ['user' => 'ada', 'profile' => new Profile(), 'gone' => 1, 'score' => 0.1, 'suit' => Suit::Hearts,
            'text' => "ü|;}\0\"", 'list' => [1, -0.0, ['x' => null, '7' => true]]];
        break;
    case '/share':
        $_SESSION['again'] = $_SESSION['profile'];
        break;
    case '/add':
        // Time for somebody else to get in between.
        usleep(3000);
        $_SESSION[$_GET['key']] = ($_SESSION[$_GET['key']] ?? 0) + 1;
        break;
    case '/slow':
        // With the session locked, as it is for every request.
        sleep(2);
        $_SESSION['slow'] = true;
        break;
    case '/destroy':
        session_destroy();
        break;
    case '/values':
        $is_whole = ($_SESSION['profile'] ?? null) == new Profile() && ($_SESSION['suit'] ?? null) === Suit::Hearts;
        $values = array_filter($_SESSION, fn($value) => !is_object($value));
        $answer = ['is_whole' => $is_whole, 'types' => array_map('get_debug_type', $values), 'values' => $values];
        break;
}
header('Content-Type: application/json');
echo json_encode(['id' => session_id(), 'answer' => $answer]);
