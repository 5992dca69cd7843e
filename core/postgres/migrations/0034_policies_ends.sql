-- What follows from the end of a grant by the clock is done when that is told: one mark is enough.
drop index grants_ended;
alter table grants drop column settled;
