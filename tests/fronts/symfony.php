<?php
// A log-in with the session of Symfony's HttpFoundation, for `php -S`. STORE says where it is kept.

use Symfony\Component\HttpFoundation\Session\Session;
use Symfony\Component\HttpFoundation\Session\Storage\Handler\NativeFileSessionHandler;
use Symfony\Component\HttpFoundation\Session\Storage\Handler\PdoSessionHandler;
use Symfony\Component\HttpFoundation\Session\Storage\Handler\RedisSessionHandler;
use Symfony\Component\HttpFoundation\Session\Storage\NativeSessionStorage;
use Symfony\Component\Security\Core\Authentication\Token\UsernamePasswordToken;
use Symfony\Component\Security\Core\User\InMemoryUser;

require_once 'Symfony/Component/HttpFoundation/autoload.php';
require_once 'Symfony/Component/Security/Core/autoload.php';

[$kept, $place] = explode(':', getenv('STORE'), 2);
switch ($kept) {
    case 'files':
        $handler = new NativeFileSessionHandler($place);
        break;
    case 'redis':
        $redis = new Redis();
        $redis->connect('127.0.0.1', parse_url(getenv('STORE'), PHP_URL_PORT));
        $handler = new RedisSessionHandler($redis);
        break;
    default:
        // A URL of a database. It locks the row, or all of it, for the whole request.
        $handler = new PdoSessionHandler(getenv('STORE'));
        try {
            $handler->createTable();
        } catch (PDOException) {
            // It is there.
        }
}
// Of PHP, which makes one text of what the handler stores.
ini_set('session.serialize_handler', getenv('SERIALIZER'));
$session = new Session(new NativeSessionStorage([], $handler));
$session->start();
$page = parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH);
if ($page === '/login') {
    $session->migrate(true);
    $session->set('user', $_GET['u']);
    $session->set('roles', ['admin', 'staff']);
    $session->getFlashBag()->add('notice', 'Welcome');
    // What a firewall called `main` leaves there.
    $user = new InMemoryUser($_GET['u'], null, ['ROLE_USER']);
    $session->set('_security_main', serialize(new UsernamePasswordToken($user, 'main', $user->getRoles())));
} elseif ($page === '/logout') {
    $session->invalidate();
} elseif ($page === '/slow') {
    sleep(3);
}
$token = unserialize($session->get('_security_main', 'N;'));
$answer = [
    'user' => $session->get('user'),
    'roles' => $session->get('roles', []),
    'notices' => $page === '/whoami' ? $session->getFlashBag()->get('notice') : [],
    'token' => $token ? ['user' => $token->getUserIdentifier(), 'roles' => $token->getRoleNames()] : null,
];
header('Content-Type: application/json');
echo json_encode($answer);
