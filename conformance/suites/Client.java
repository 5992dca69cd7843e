import com.unboundid.scim2.client.ScimService;
import com.unboundid.scim2.common.GenericScimResource;
import com.unboundid.scim2.common.exceptions.ResourceConflictException;
import com.unboundid.scim2.common.exceptions.ResourceNotFoundException;
import com.unboundid.scim2.common.exceptions.UnauthorizedException;
import com.unboundid.scim2.common.messages.ListResponse;
import com.unboundid.scim2.common.types.Email;
import com.unboundid.scim2.common.types.GroupResource;
import com.unboundid.scim2.common.types.Member;
import com.unboundid.scim2.common.types.Name;
import com.unboundid.scim2.common.types.PhoneNumber;
import com.unboundid.scim2.common.types.UserResource;
import jakarta.ws.rs.client.ClientBuilder;
import jakarta.ws.rs.client.ClientRequestFilter;
import jakarta.ws.rs.client.WebTarget;
import java.util.List;
import java.util.UUID;
import org.glassfish.jersey.apache.connector.ApacheConnectorProvider;
import org.glassfish.jersey.client.ClientConfig;

/** Calls a SCIM server through a SCIM SDK that others wrote, and prints one line for each call. */
public class Client {
  interface Call { void run() throws Exception; }

  static void check(boolean held, String what) {
    if (!held) throw new AssertionError(what);
  }

  static void call(String name, Call call) {
    try {
      call.run();
      System.out.println("passed\t" + name);
    } catch (Throwable fault) {
      StringBuilder why = new StringBuilder();
      for (Throwable at = fault; at != null; at = at.getCause()) why.append(at).append("; ");
      System.out.println("failed\t" + name + "\t" + why.toString().replace('\n', ' '));
    }
  }

  static WebTarget target(String url, String token) {
    ClientConfig config = new ClientConfig();
    config.connectorProvider(new ApacheConnectorProvider()); // the JDK's own client knows no PATCH
    config.register((ClientRequestFilter) request -> request.getHeaders().putSingle("Authorization", "Bearer " + token));
    return ClientBuilder.newClient(config).target(url);
  }

  static UserResource user(String name) {
    UserResource user = new UserResource();
    user.setUserName(name);
    user.setExternalId("ext-" + name);
    user.setDisplayName("Display " + name);
    user.setActive(true);
    user.setName(new Name().setGivenName("Given").setFamilyName("Family"));
    user.setEmails(List.of(new Email().setValue(name + "@example.com").setType("work").setPrimary(true)));
    return user;
  }

  public static void main(String[] arguments) {
    ScimService server = new ScimService(target(arguments[0], arguments[1]));
    String prefix = "java-" + UUID.randomUUID();
    UserResource[] one = new UserResource[1], two = new UserResource[1];
    GroupResource[] group = new GroupResource[1];

    call("service provider config", () -> check(server.getServiceProviderConfig().getPatch().isSupported(), "PATCH is claimed"));
    call("resource types", () -> check(server.getResourceTypes().getTotalResults() >= 2, "users and groups"));
    call("resource type", () -> check(server.getResourceType("User").getEndpoint() != null, "an endpoint"));
    call("schemas", () -> check(server.getSchemas().getTotalResults() >= 3, "user, group, enterprise"));
    call("schema", () -> check(!server.getSchema("urn:ietf:params:scim:schemas:core:2.0:User").getAttributes().isEmpty(), "attributes"));
    call("create", () -> {
      one[0] = server.create("Users", user(prefix + "-one"));
      two[0] = server.create("Users", user(prefix + "-two"));
      check(one[0].getId() != null && one[0].getMeta().getLocation() != null && one[0].getActive(), "id, location, active");
    });
    call("create again", () -> {
      try {
        server.create("Users", user(prefix + "-one"));
        check(false, "a conflict");
      } catch (ResourceConflictException expected) {
        check("uniqueness".equals(expected.getScimError().getScimType()), "scimType uniqueness");
      }
    });
    call("retrieve", () -> check(server.retrieve("Users", one[0].getId(), UserResource.class).getUserName().equals(prefix + "-one"), "userName"));
    call("retrieve by location", () -> check(server.retrieve(one[0].getMeta().getLocation(), UserResource.class).getId().equals(one[0].getId()), "id"));
    call("retrieve as tree", () -> check(server.retrieve("Users", one[0].getId(), GenericScimResource.class).getStringValue("name.familyName").equals("Family"), "familyName"));
    call("retrieve attributes", () -> {
      UserResource found = server.retrieveRequest("Users", one[0].getId()).attributes("displayName").invoke(UserResource.class);
      check(found.getDisplayName() != null && found.getUserName() == null, "displayName alone");
    });
    call("retrieve without attributes", () -> {
      UserResource found = server.retrieveRequest("Users", one[0].getId()).excludedAttributes("emails").invoke(UserResource.class);
      check(found.getUserName() != null && (found.getEmails() == null || found.getEmails().isEmpty()), "no e-mail");
    });
    call("retrieve unknown", () -> {
      try {
        server.retrieve("Users", UUID.randomUUID().toString(), UserResource.class);
        check(false, "not found");
      } catch (ResourceNotFoundException expected) {
        check(expected.getScimError().getStatus() == 404, "status");
      }
    });
    call("search", () -> {
      ListResponse<UserResource> found = server.search("Users", "userName eq \"" + prefix + "-one\"", UserResource.class);
      check(found.getTotalResults() == 1 && found.getResources().get(0).getId().equals(one[0].getId()), "one user");
    });
    call("search in pages", () -> {
      ListResponse<UserResource> found = server.searchRequest("Users").page(2, 1).invoke(UserResource.class);
      check(found.getStartIndex() == 2 && found.getResources().size() == 1 && found.getItemsPerPage() == 1, "one of the second page");
    });
    call("search by POST", () -> {
      ListResponse<UserResource> found = server.searchRequest("Users").filter("externalId eq \"ext-" + prefix + "-two\"").attributes("userName").invokePost(UserResource.class);
      check(found.getTotalResults() == 1 && found.getResources().get(0).getUserName().equals(prefix + "-two"), "one user");
    });
    call("replace", () -> {
      UserResource found = server.retrieve("Users", one[0].getId(), UserResource.class);
      found.setDisplayName("Replaced");
      found.setPhoneNumbers(List.of(new PhoneNumber().setValue("tel:+1-555-0100").setType("mobile")));
      check(server.replace(found).getDisplayName().equals("Replaced"), "displayName");
    });
    call("modify", () -> {
      UserResource changed = server.modifyRequest("Users", one[0].getId())
          .replaceValue("active", false)
          .replaceValue("name.givenName", "Modified")
          .addValues("emails", new Email().setValue(prefix + "@home.example.com").setType("home"))
          .removeValues("phoneNumbers[type eq \"mobile\"]")
          .invoke(UserResource.class);
      check(!changed.getActive() && changed.getName().getGivenName().equals("Modified") && changed.getEmails().size() == 2, "changes");
    });
    call("modify with version", () -> {
      UserResource found = server.retrieve("Users", two[0].getId(), UserResource.class);
      server.modifyRequest(found).ifMatch().replaceValue("title", "Boss").invoke();
      try {
        server.modifyRequest(found).ifMatch().replaceValue("title", "Late").invoke();
        check(false, "a failed precondition");
      } catch (com.unboundid.scim2.common.exceptions.PreconditionFailedException expected) {
        check(expected.getScimError().getStatus() == 412, "status");
      }
    });
    call("create group", () -> {
      GroupResource wanted = new GroupResource().setDisplayName(prefix).setMembers(List.of(new Member().setValue(one[0].getId())));
      group[0] = server.create("Groups", wanted);
      check(group[0].getId() != null, "id");
    });
    call("modify group", () -> {
      server.modifyRequest("Groups", group[0].getId())
          .addValues("members", new Member().setValue(two[0].getId()))
          .removeValues("members[value eq \"" + one[0].getId() + "\"]")
          .invoke(Void.class);
      GroupResource found = server.retrieve("Groups", group[0].getId(), GroupResource.class);
      check(found.getMembers().size() == 1 && found.getMembers().get(0).getValue().equals(two[0].getId()), "one member");
    });
    call("search group", () -> check(server.search("Groups", "displayName eq \"" + prefix + "\"", GroupResource.class).getTotalResults() == 1, "one group"));
    call("delete", () -> {
      server.delete("Groups", group[0].getId());
      server.delete(one[0]);
      server.delete("Users", two[0].getId());
    });
    call("deleted", () -> {
      try {
        server.retrieve("Users", one[0].getId(), UserResource.class);
        check(false, "not found");
      } catch (ResourceNotFoundException expected) {
        check(true, "");
      }
    });
    call("wrong token", () -> {
      try {
        new ScimService(target(arguments[0], "wrong")).getServiceProviderConfig();
        new ScimService(target(arguments[0], "wrong")).search("Users", "userName pr", UserResource.class);
        check(false, "unauthorized");
      } catch (UnauthorizedException expected) {
        check(expected.getScimError().getStatus() == 401, "status");
      }
    });
  }
}
