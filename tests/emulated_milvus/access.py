"""Users, roles and grants; who may make a call is what Milvus's own protocol file says of it.

Versions that have `OperatePrivilegeV2` have groups of privileges, too. Before 2.6.12 (2.6.11 for a search) reads
through an alias need the privilege on the name that the client uses, from then on that on the collection (#47850,
#48052, #48061).
"""

from __future__ import annotations

import base64
from typing import Any

from tests.emulated_milvus.calls import SERVICE, Call, Denied, rpc
from tests.emulated_milvus.cluster import Cluster, Code, Grant, Refused

from grpc import StatusCode  # isort: skip
from pymilvus.grpc_gen import common_pb2, milvus_pb2  # isort: skip

WRONG_TOKEN = "auth check failure, please check username and password are correct"  # noqa: S105
GRANT = milvus_pb2.OperatePrivilegeType.Grant


def authenticate(cluster: Cluster, token: str) -> str:
    if not cluster.authorization:
        return ""
    user, _, password = token.partition(":")
    if not user or cluster.passwords.get(user) != password:
        raise Denied(StatusCode.UNAUTHENTICATED, WRONG_TOKEN)
    return user


def authorize(call: Call, request: Any) -> None:
    """Raise `Denied` unless the caller may make the call; names are looked at later."""
    privilege, collection_wide = _privilege(call)
    if not call.cluster.authorization or not privilege or _about_oneself(call, request):
        return
    name = request.collection_name if collection_wide else "*"
    by_collection = call.behaviour.reads_by_collection_grants or (
        call.method == "Search" and call.behaviour.searches_by_collection_grants
    )
    with call.cluster.lock:
        if collection_wide and by_collection and call.database_name in call.cluster.databases:
            found = call.database.by_id(call.database.aliases.get(name))
            name = found[0] if found else name
        allowed = call.cluster.granted(call.user, privilege, call.database_name, name)
    if not allowed:
        raise Denied(StatusCode.PERMISSION_DENIED, f"Privilege{privilege}: permission deny to {call.user}")


def _privilege(call: Call) -> tuple[str, bool]:
    """The privilege that a call needs, "" for none, and whether it is one on a collection."""
    if call.method == "AlterAlias" and call.behaviour.alters_without_privilege:
        return "", False
    if call.method == "GetLoadState" and call.behaviour.load_state_needs_load:
        return "Load", True
    options = SERVICE.methods_by_name[call.method].input_type.GetOptions()
    if not options.HasExtension(common_pb2.privilege_ext_obj):
        return "", False
    found = options.Extensions[common_pb2.privilege_ext_obj]
    name = common_pb2.ObjectPrivilege.Name(found.object_privilege).removeprefix("Privilege")
    return name, found.object_type == common_pb2.ObjectType.Collection


def _about_oneself(call: Call, request: Any) -> bool:
    """Everyone may ask for their own user, and for the grants of their own roles."""
    if call.method == "SelectUser":
        return bool(request.user.name == call.user)
    return call.method == "SelectGrant" and request.entity.role.name in {"public", *call.cluster.roles[call.user]}


@rpc
def create_credential(call: Call, request: Any) -> None:
    call.cluster.roles[request.username] = set()
    call.cluster.passwords[request.username] = base64.b64decode(request.password).decode()


@rpc
def list_cred_users(call: Call, _request: Any) -> Any:
    return milvus_pb2.ListCredUsersResponse(usernames=sorted(call.cluster.passwords))


@rpc
def create_role(call: Call, request: Any) -> None:
    call.cluster.grants.setdefault(request.entity.name, set())


@rpc
def drop_role(call: Call, request: Any) -> None:
    call.cluster.grants.pop(request.role_name, None)


@rpc
def operate_user_role(call: Call, request: Any) -> None:
    roles = call.cluster.roles[request.username]
    if request.type == milvus_pb2.OperateUserRoleType.AddUserToRole:
        roles.add(request.role_name)
    else:
        roles.discard(request.role_name)


@rpc
def operate_privilege(call: Call, request: Any) -> None:
    entity = request.entity
    grant = Grant(
        entity.object.name, entity.object_name, entity.grantor.privilege.name, entity.db_name or call.database_name
    )
    _grant_or_revoke(call, entity.role.name, grant, request.type)


@rpc
def operate_privilege_v2(call: Call, request: Any) -> None:
    privilege = request.grantor.privilege.name
    kind = "Collection" if privilege in ("Query", "Search", "Load", "GetLoadState", "IndexDetail") else "Global"
    grant = Grant(kind, request.collection_name, privilege, request.db_name or call.database_name)
    _grant_or_revoke(call, request.role.name, grant, request.type)


def _grant_or_revoke(call: Call, role: str, grant: Grant, what: int) -> None:
    with call.cluster.lock:
        grants = call.cluster.grants.setdefault(role, set())
        if what == GRANT:
            grants.add(grant)
        else:
            grants.discard(grant)


@rpc
def create_privilege_group(call: Call, request: Any) -> None:
    call.cluster.groups.setdefault(request.group_name, set())


@rpc
def operate_privilege_group(call: Call, request: Any) -> None:
    call.cluster.groups[request.group_name] |= {privilege.name for privilege in request.privileges}


@rpc
def list_privilege_groups(call: Call, _request: Any) -> Any:
    groups = [
        milvus_pb2.PrivilegeGroupInfo(
            group_name=name, privileges=[milvus_pb2.PrivilegeEntity(name=privilege) for privilege in sorted(contained)]
        )
        for name, contained in sorted(call.cluster.groups.items())
    ]
    return milvus_pb2.ListPrivilegeGroupsResponse(privilege_groups=groups)


@rpc
def select_grant(call: Call, request: Any) -> Any:
    role = request.entity.role.name
    if role not in call.cluster.grants:
        raise Refused(Code.UNSPECIFIED, f"not found the role, maybe the role isn't existed: {role}")
    entities = [
        milvus_pb2.GrantEntity(
            role=milvus_pb2.RoleEntity(name=role),
            object=milvus_pb2.ObjectEntity(name=grant.object),
            object_name=grant.name,
            grantor=milvus_pb2.GrantorEntity(
                user=milvus_pb2.UserEntity(name="root"), privilege=milvus_pb2.PrivilegeEntity(name=grant.privilege)
            ),
            db_name=grant.database,
        )
        for grant in sorted(call.cluster.grants[role], key=repr)
        if grant.database in ("*", request.entity.db_name or call.database_name)
    ]
    return milvus_pb2.SelectGrantResponse(entities=entities)


@rpc
def select_user(call: Call, request: Any) -> Any:
    names = [request.user.name] if request.user.name else sorted(call.cluster.roles)
    results = [
        milvus_pb2.UserResult(
            user=milvus_pb2.UserEntity(name=name),
            roles=[milvus_pb2.RoleEntity(name=role) for role in sorted(call.cluster.roles.get(name, ()))],
        )
        for name in names
    ]
    return milvus_pb2.SelectUserResponse(results=results)


@rpc
def select_role(call: Call, request: Any) -> Any:
    names = [request.role.name] if request.role.name else sorted(call.cluster.grants)
    results = [
        milvus_pb2.RoleResult(
            role=milvus_pb2.RoleEntity(name=name),
            users=[milvus_pb2.UserEntity(name=user) for user, roles in call.cluster.roles.items() if name in roles],
        )
        for name in names
    ]
    return milvus_pb2.SelectRoleResponse(results=results)
