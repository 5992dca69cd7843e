"""Runs scim2-tester against a SCIM server and prints one JSON object for each of its checks.

    python tester.py URL TOKEN
"""

import json
import sys

from httpx2 import Client
from scim2_client.engines.httpx2 import SyncSCIMClient
from scim2_tester import check_server

url, token = sys.argv[1:]
http = Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=30)
for result in check_server(SyncSCIMClient(http)):
    json.dump(
        {
            "status": result.status.name,
            "title": result.title,
            "resource": result.resource_type or "",
            "reason": result.reason or "",
        },
        sys.stdout,
    )
    print()
