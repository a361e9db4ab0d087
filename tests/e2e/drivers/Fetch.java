/* SPDX-License-Identifier: Apache-2.0
 *
 * Java's own HttpClient: a read, an upload and a refusal, over each version that is asked for.
 */
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;

class Fetch {
    public static void main(String[] arguments) throws Exception {
        for (int i = 1; i < arguments.length; i++)
            fetch(arguments[0], HttpClient.Version.valueOf(arguments[i]));
    }

    static void fetch(String place, HttpClient.Version version) throws Exception {
        HttpClient client = HttpClient.newBuilder().version(version).build();
        HttpRequest[] requests = {
            HttpRequest.newBuilder(URI.create(place + "/v1/hello")).build(),
            HttpRequest.newBuilder(URI.create(place + "/v1/take"))
                .POST(BodyPublishers.ofByteArray(new byte[300_000])).build(),
            HttpRequest.newBuilder(URI.create(place + "/v1/hello")).DELETE().build(),
            HttpRequest.newBuilder(URI.create(place + "/v1/hello")).build(),
        };
        for (HttpRequest request : requests) {
            HttpResponse<String> response = client.send(request, BodyHandlers.ofString());
            System.out.println(response.version() + " " + response.statusCode() + " " + response.body().strip());
        }
    }
}
