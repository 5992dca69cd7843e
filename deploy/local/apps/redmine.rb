# Makes users of a Redmine, and does with them what its administrator can. Standard input: what, username, password or TOTP secret.
what, name, secret = STDIN.read.split("\n", 3)
user = User.find_by_login(name)
case what
when 'make', 'set'
  exit if what == 'make' && user
  user ||= User.new(login: name, firstname: name, lastname: 'of the station', mail: "#{name}@station.example", language: 'en')
  user.password = user.password_confirmation = secret
  user.status = User::STATUS_ACTIVE
  user.must_change_passwd = false
  user.save!
when 'disable' then user.lock!
when 'enable' then user.activate!
when 'expire' then user.update!(must_change_passwd: true)
when 'enrol' then user.update!(twofa_scheme: 'totp', twofa_totp_key: secret, twofa_totp_last_used_at: nil)
else raise "nobody knows how to #{what}"
end
