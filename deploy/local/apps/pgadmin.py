"""pgAdmin 4 as a server of its own. Its folder is $POSTERN_SITE.

    pgadmin.py serve 8000
    pgadmin.py user         what, user name and password on standard input, a line each; "set" changes an existing one
"""
import importlib.util
import os
import secrets
import sys
import types

folder = os.environ['POSTERN_SITE']
local = types.ModuleType('config_local')
local.SERVER_MODE = True
local.DATA_DIR = folder
local.LOG_FILE = os.path.join(folder, 'log')
local.SQLITE_PATH = os.path.join(folder, 'database')
local.SESSION_DB_PATH = os.path.join(folder, 'sessions')
local.STORAGE_DIR = os.path.join(folder, 'storage')
local.AZURE_CREDENTIAL_CACHE_DIR = os.path.join(folder, 'azure')
local.UPGRADE_CHECK_ENABLED = False
local.MAX_LOGIN_ATTEMPTS = 0
local.DEFAULT_SERVER = '127.0.0.1'
if sys.argv[1] == 'serve':
    local.DEFAULT_SERVER_PORT = int(sys.argv[2])
sys.modules['config_local'] = local
# It asks for its first administrator's when it makes its database.
os.environ['PGADMIN_SETUP_EMAIL'], os.environ['PGADMIN_SETUP_PASSWORD'] = 'keeper@acme.example', secrets.token_urlsafe()
sys.path.insert(0, importlib.util.find_spec('pgadmin4').submodule_search_locations[0])

import pgAdmin4

if sys.argv[1] == 'serve':
    pgAdmin4.main()
else:
    from pgadmin.model import Role, User
    from pgadmin.tools.user_management import create_user, update_user

    what, name, password = sys.stdin.read().split('\n')
    with pgAdmin4.app.test_request_context():
        user, done, said = User.query.filter_by(username=name).first(), True, ''
        given = {'newPassword': password, 'confirmPassword': password}
        if not user:
            done, said = create_user({
                'username': name, 'email': name, 'role': Role.query.filter_by(name='User').first().id, 'active': True,
                'auth_source': 'internal', **given,
            })
        elif what == 'set':
            done, said = update_user(user.id, given)
    if not done:
        sys.exit(str(said))
