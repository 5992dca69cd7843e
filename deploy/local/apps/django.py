"""A Django project of nothing but its administration site. Its folder is $POSTERN_SITE.

    django.py serve 127.0.0.1:8000
    django.py make          user name and password on standard input, a line each; "set" changes an existing one
"""
import os
import sys

from django.conf import settings

folder = os.environ['POSTERN_SITE']
settings.configure(
    DEBUG=False,
    ALLOWED_HOSTS=['127.0.0.1'],
    SECRET_KEY=open(os.path.join(folder, 'key')).read(),
    ROOT_URLCONF='django_project',
    DATABASES={'default': {'ENGINE': 'django.db.backends.sqlite3', 'NAME': os.path.join(folder, 'database')}},
    INSTALLED_APPS=['django.contrib.' + name for name in ('admin', 'auth', 'contenttypes', 'sessions', 'messages', 'staticfiles')],
    MIDDLEWARE=[
        'django.middleware.security.SecurityMiddleware',
        'django.contrib.sessions.middleware.SessionMiddleware',
        'django.middleware.csrf.CsrfViewMiddleware',
        'django.contrib.auth.middleware.AuthenticationMiddleware',
        'django.contrib.messages.middleware.MessageMiddleware',
    ],
    TEMPLATES=[{
        'BACKEND': 'django.template.backends.django.DjangoTemplates',
        'APP_DIRS': True,
        'OPTIONS': {'context_processors': [
            'django.template.context_processors.request',
            'django.contrib.auth.context_processors.auth',
            'django.contrib.messages.context_processors.messages',
        ]},
    }],
    AUTH_PASSWORD_VALIDATORS=[
        {'NAME': 'django.contrib.auth.password_validation.' + name}
        for name in ('UserAttributeSimilarityValidator', 'MinimumLengthValidator', 'CommonPasswordValidator', 'NumericPasswordValidator')
    ],
    STATIC_URL='/static/',
    DEFAULT_AUTO_FIELD='django.db.models.BigAutoField',
)

import django
from django.core.management import call_command

django.setup()

if sys.argv[1] == 'serve':
    import types

    from django.contrib import admin
    from django.urls import path

    project = types.ModuleType('django_project')
    project.urlpatterns = [path('admin/', admin.site.urls)]
    sys.modules['django_project'] = project
    call_command('runserver', sys.argv[2], use_reloader=False, insecure_serving=True)
else:
    from django.contrib.auth.models import User

    call_command('migrate', verbosity=0)
    name, password = sys.stdin.read().split('\n')
    user, made = User.objects.get_or_create(username=name, defaults={'is_staff': True})
    if made or sys.argv[1] == 'set':
        user.set_password(password)
        user.save()
