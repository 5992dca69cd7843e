-- core/rotation: a sign-in whose end nobody saw stays in the budget until it has left the window, whatever the app says of the same
-- password later. Which one it was with, and whether it was seen to fail, is asked by nobody any more.
alter table sign_in_attempts drop column version, drop column rejected;
