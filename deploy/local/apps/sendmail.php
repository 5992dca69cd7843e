<?php
// Hands the message on standard input over by SMTP, to the port of loopback that is the first argument. Whom it is for, its
// To line says.
$message = preg_replace('/\r?\n/', "\r\n", stream_get_contents(STDIN));
[$head] = explode("\r\n\r\n", $message, 2);
if (!preg_match('/^To:\s*(.+(?:\r\n[ \t].+)*)/mi', $head, $to) || !preg_match_all('/[^\s<>,;"]+@[^\s<>,;"]+/', $to[1], $addresses)) {
    fwrite(STDERR, "it is for nobody\n");
    exit(1);
}
$server = stream_socket_client('tcp://127.0.0.1:' . (int) $argv[1], $number, $why, 30);
if (!$server) {
    fwrite(STDERR, "$why\n");
    exit(1);
}
$said = function (string $line, string $wanted) use ($server): void {
    if ($line !== '') {
        fwrite($server, $line . "\r\n");
    }
    do {
        $answer = (string) fgets($server);
    } while (substr($answer, 3, 1) === '-');
    if (strncmp($answer, $wanted, 1) !== 0) {
        fwrite(STDERR, $answer);
        exit(1);
    }
};
$said('', '2');
$said('EHLO localhost', '2');
$said('MAIL FROM:<wiki@example.com>', '2');
foreach ($addresses[0] as $address) {
    $said("RCPT TO:<$address>", '2');
}
$said('DATA', '3');
$said(preg_replace('/^\./m', '..', rtrim($message, "\r\n")) . "\r\n.", '2');
$said('QUIT', '2');
