<?php
// Run from the command line: installs WordPress once, then makes or changes one user. The lines of standard input are
// what to do (make, set, address), the name, and the password or address.
list($what, $name, $value) = explode("\n", stream_get_contents(STDIN));
$site = getenv('POSTERN_SITE');
require $site . '/postern.php';
$_SERVER['HTTP_HOST'] = parse_url(POSTERN_URL, PHP_URL_HOST) . ':' . parse_url(POSTERN_URL, PHP_URL_PORT);
$_SERVER['SERVER_NAME'] = '127.0.0.1';
$_SERVER['REQUEST_URI'] = '/';
$_SERVER['SERVER_PROTOCOL'] = 'HTTP/1.1';
define('WP_INSTALLING', true);
require $site . '/wp-load.php';
require_once ABSPATH . 'wp-admin/includes/upgrade.php';
function wp_new_blog_notification($title, $url, $id, $password) {}
if (!is_blog_installed()) {
    wp_install('Tug and barge', 'harbourmaster', 'harbourmaster@example.com', false, '', wp_generate_password(32));
}
$user = get_user_by('login', $name);
if (!$user) {
    $id = wp_insert_user(['user_login' => $name, 'user_pass' => $value, 'user_email' => $name . '@example.com', 'role' => 'editor']);
    if (is_wp_error($id)) {
        fwrite(STDERR, $id->get_error_message() . "\n");
        exit(1);
    }
} elseif ($what === 'set') {
    wp_set_password($value, $user->ID);
} elseif ($what === 'address') {
    wp_update_user(['ID' => $user->ID, 'user_email' => $value]);
}
