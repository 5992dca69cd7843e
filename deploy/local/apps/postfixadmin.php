<?php
// Makes PostfixAdmin's tables and an administrator, or sets an administrator's password. Standard input: what, username, password.
[$what, $username, $password] = explode("\n", stream_get_contents(STDIN));
define('POSTFIXADMIN_CLI', true);
$_SERVER['REMOTE_ADDR'] = '127.0.0.1';
chdir(getenv('POSTERN_SITE') . '/public');
require './common.php';
if ($what === 'tables') {
    ob_start();
    require './upgrade.php';
    ob_end_clean();
    return;
}
$known = db_query_one('SELECT username FROM ' . table_by_key('admin') . ' WHERE username = :username', ['username' => $username]);
if ($known && $what === 'make') {
    return;
}
if ($known) {
    db_update('admin', 'username', $username, ['password' => pacrypt($password)]);
} else {
    db_insert('admin', ['username' => $username, 'password' => pacrypt($password), 'superadmin' => 1, 'active' => 1]);
    db_insert('domain_admins', ['username' => $username, 'domain' => 'ALL', 'active' => 1], ['created']);
}
