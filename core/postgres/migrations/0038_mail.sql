-- core/mail: what is sent to people by e-mail.

create table mails (
	id           uuid not null,
	workspace_id uuid not null references workspaces (id),
	recipient    text not null,
	subject      text not null,
	sealed       bytea,                         -- the text, under the workspace's mail key; gone once it was sent or given up
	decoy        boolean not null,              -- looks like a mail and is none
	state        text not null check (state in ('queued', 'kept', 'sent', 'given_up')),
	reason       text not null default '',      -- why it was not sent, or not yet
	attempts     integer not null default 0,
	queued       timestamptz not null,
	until        timestamptz not null,          -- it is not sent later
	busy         timestamptz,                   -- a worker is at it until then
	finished     timestamptz,
	primary key (workspace_id, id),
	check ((state = 'queued') = (finished is null)),
	check ((state in ('queued', 'kept')) = (sealed is not null))
);
create index mails_finished on mails (workspace_id, finished) where finished is not null;
