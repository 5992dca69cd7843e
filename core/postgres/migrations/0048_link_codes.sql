-- core/links: whoever opened a link of an account with one-time codes is given those too, as long as the link's password
-- is good, by what their browser was given with the password.
alter table link_views
	add column pass  bytea,                     -- SHA-256 of that; null: no codes are made for the account
	add column coded timestamptz;               -- when the last step ends of which they were given the code
