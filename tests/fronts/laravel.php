<?php
// A log-in with Laravel's session, guard and encrypted cookies, for `php -S`. STORE says where sessions are, APP_KEY is Laravel's.

use Illuminate\Auth\AuthServiceProvider;
use Illuminate\Auth\GenericUser;
use Illuminate\Cache\CacheServiceProvider;
use Illuminate\Config\Repository;
use Illuminate\Contracts\Auth\Authenticatable;
use Illuminate\Contracts\Auth\UserProvider;
use Illuminate\Contracts\Debug\ExceptionHandler;
use Illuminate\Cookie\CookieServiceProvider;
use Illuminate\Cookie\Middleware\AddQueuedCookiesToResponse;
use Illuminate\Cookie\Middleware\EncryptCookies;
use Illuminate\Database\DatabaseServiceProvider;
use Illuminate\Database\QueryException;
use Illuminate\Encryption\EncryptionServiceProvider;
use Illuminate\Filesystem\FilesystemServiceProvider;
use Illuminate\Foundation\Application;
use Illuminate\Http\JsonResponse;
use Illuminate\Http\Request;
use Illuminate\Pipeline\Pipeline;
use Illuminate\Redis\RedisServiceProvider;
use Illuminate\Session\Middleware\StartSession;
use Illuminate\Session\SessionServiceProvider;

error_reporting(E_ALL & ~E_DEPRECATED);
require_once 'Illuminate/autoload.php';

// Anybody who says so is somebody.
final class Anybody implements UserProvider
{
    public function retrieveById($id)
    {
        return new GenericUser(['id' => $id]);
    }

    public function retrieveByToken($id, $token)
    {
        return null;
    }

    public function updateRememberToken(Authenticatable $user, $token)
    {
    }

    public function retrieveByCredentials(array $credentials)
    {
        return null;
    }

    public function validateCredentials(Authenticatable $user, array $credentials)
    {
        return false;
    }
}

[$kept, $place] = explode(':', getenv('STORE'), 2);
$driver = ['files' => 'file', 'redis' => 'redis', 'postgres' => 'database', 'mysql' => 'database', 'sqlite' => 'database', 'cookie' => 'cookie'][$kept];
$server = ['host' => '127.0.0.1', 'port' => parse_url(getenv('STORE'), PHP_URL_PORT)];
$app = new Application();
$app->instance('config', new Repository([
    'app' => ['key' => getenv('APP_KEY'), 'cipher' => 'AES-256-CBC'],
    'auth' => [
        'defaults' => ['guard' => 'web'],
        'guards' => ['web' => ['driver' => 'session', 'provider' => 'anybody']],
        'providers' => ['anybody' => ['driver' => 'anybody']],
    ],
    'session' => [
        'driver' => $driver, 'cookie' => 'laravel_session', 'lifetime' => 120, 'expire_on_close' => false,
        'files' => $place, 'connection' => null, 'table' => 'sessions', 'store' => null, 'encrypt' => false,
        'path' => '/', 'domain' => null, 'secure' => false, 'http_only' => true, 'same_site' => 'lax', 'lottery' => [0, 1],
    ],
    'cache' => [
        'default' => 'redis', 'prefix' => 'laravel_cache',
        'stores' => ['redis' => ['driver' => 'redis', 'connection' => 'default']],
    ],
    'database' => [
        'default' => $kept === 'postgres' ? 'pgsql' : $kept,
        'connections' => [
            'mysql' => ['driver' => 'mysql', 'database' => 'app', 'username' => 'root', 'password' => '', 'charset' => 'utf8mb4'] + $server,
            // Without the three slashes of the URL.
            'sqlite' => ['driver' => 'sqlite', 'database' => substr($place, 3)],
            'pgsql' => ['driver' => 'pgsql', 'database' => 'postgres', 'username' => 'test', 'password' => ''] + $server,
        ],
        'redis' => [
            'client' => 'phpredis', 'options' => ['prefix' => 'laravel_database_'],
            'default' => ['database' => 0] + $server,
        ],
    ],
]));
$request = Request::capture();
$app->instance('request', $request);
$app->singleton(ExceptionHandler::class, fn () => new Illuminate\Foundation\Exceptions\Handler($app));
$providers = [
    AuthServiceProvider::class, CacheServiceProvider::class, CookieServiceProvider::class, DatabaseServiceProvider::class,
    EncryptionServiceProvider::class, FilesystemServiceProvider::class, RedisServiceProvider::class,
    SessionServiceProvider::class,
];
array_map([$app, 'register'], $providers);
$app->boot();
$app['auth']->provider('anybody', fn () => new Anybody());
if ($driver === 'database') {
    try {
        // Laravel wants the file to be there.
        $kept === 'sqlite' && touch(substr($place, 3));
        $app['db']->connection()->getSchemaBuilder()->create('sessions', function ($table) {
            $table->string('id')->primary();
            // A number in most applications; here users are names.
            $table->string('user_id')->nullable()->index();
            $table->string('ip_address', 45)->nullable();
            $table->text('user_agent')->nullable();
            $table->text('payload');
            $table->integer('last_activity')->index();
        });
    } catch (QueryException) {
        // It is there.
    }
}

function answer($app, $request)
{
    $session = $request->session();
    $guard = $app['auth']->guard('web');
    if ($request->path() === 'login') {
        // It gives the session a new id.
        $guard->login(new GenericUser(['id' => $request->query('u')]));
        $session->put('roles', ['admin', 'staff']);
        $session->flash('notices', ['Welcome']);
    } elseif ($request->path() === 'logout') {
        $guard->logout();
        $session->invalidate();
    } elseif ($request->path() === 'slow') {
        sleep(3);
    }
    $answer = ['user' => $guard->id(), 'roles' => $session->get('roles', []), 'notices' => $session->get('notices', [])];
    return new JsonResponse($answer);
}

(new Pipeline($app))
    ->send($request)
    ->through([EncryptCookies::class, AddQueuedCookiesToResponse::class, StartSession::class])
    ->then(fn ($request) => answer($app, $request))
    ->send();
