-- The ID token a session rests on, which its IdP wants to see when the person signs out. It is sealed under a key
-- that the session's token alone gives, and of the token only a hash is kept: nobody reads it from here.
alter table sessions add column id_token bytea;

-- It goes with the session, whichever statement ends that.
create function forget_id_token() returns trigger language plpgsql as $$
begin
	new.id_token := null;
	return new;
end $$;
create trigger sessions_forget_id_token before update of ended on sessions
	for each row when (new.ended is not null and new.id_token is not null) execute function forget_id_token();

-- Whether the IdP was asked to make the person prove themselves, whatever session of theirs it has.
alter table sign_in_flows add column prompted boolean not null default false;
