// Counts the syntax errors of Java texts by javac's parser alone: nothing is resolved, compiled or run, and no file is
// read. The annotation processors of a project are code, and are off.
//
//     java ParseJava.java
//
// A question is a line `NUMBER KIND BYTES` and so many bytes of UTF-8. An answer is JSON behind a Content-Length:
// `{"number": 1, "found": 0}`; `found` is null where nobody can tell.

import static java.nio.charset.StandardCharsets.UTF_8;

import com.sun.source.util.JavacTask;
import java.io.BufferedInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.net.URI;
import java.util.List;
import javax.tools.Diagnostic;
import javax.tools.DiagnosticCollector;
import javax.tools.JavaCompiler;
import javax.tools.JavaFileManager;
import javax.tools.JavaFileObject;
import javax.tools.SimpleJavaFileObject;
import javax.tools.ToolProvider;

class ParseJava {
    private static final JavaCompiler COMPILER = ToolProvider.getSystemJavaCompiler();
    private static final JavaFileManager FILES = COMPILER.getStandardFileManager(ignored -> {}, null, UTF_8);

    public static void main(String[] arguments) throws IOException {
        InputStream in = new BufferedInputStream(System.in, 1 << 16);
        for (String head = line(in); !head.isEmpty(); head = line(in)) {
            String[] words = head.split(" ");
            String text = new String(in.readNBytes(Integer.parseInt(words[2])), UTF_8);
            byte[] said = ("{\"number\":" + words[0] + ",\"found\":" + errors(text) + "}").getBytes(UTF_8);
            System.out.write(("Content-Length: " + said.length + "\r\n\r\n").getBytes(UTF_8));
            System.out.write(said);
            System.out.flush();
        }
    }

    private static String errors(String text) {
        DiagnosticCollector<JavaFileObject> found = new DiagnosticCollector<>();
        JavaFileObject file = new SimpleJavaFileObject(URI.create("string:///A.java"), JavaFileObject.Kind.SOURCE) {
            @Override
            public CharSequence getCharContent(boolean ignoreEncodingErrors) {
                return text;
            }
        };
        try {
            List<String> options = List.of("-proc:none");
            ((JavacTask) COMPILER.getTask(null, FILES, found, options, null, List.of(file))).parse();
        } catch (IOException | RuntimeException | StackOverflowError error) {
            return "null"; // nested too deep, or a fault of javac
        }
        long errors = found.getDiagnostics().stream().filter(one -> one.getKind() == Diagnostic.Kind.ERROR).count();
        return Long.toString(errors);
    }

    /** A line without its end; empty when there is no more. */
    private static String line(InputStream in) throws IOException {
        StringBuilder line = new StringBuilder();
        for (int letter = in.read(); letter >= 0 && letter != '\n'; letter = in.read()) {
            line.append((char) letter);
        }
        return line.toString();
    }
}
