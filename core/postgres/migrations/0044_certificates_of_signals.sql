-- Whose accounts a signal has rotated has a certificate of that, too.
alter table certificates drop constraint certificates_reason_check;
alter table certificates add constraint certificates_reason_check check (reason in ('deprovision', 'logout', 'revocation'));
