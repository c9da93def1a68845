;; For your init file: coderls in lsp-mode, beside the server of the language.  Completions are in its list.

(defvar coderls-command '("coderls" "--stdio") "Command of the language server.")

;; Settings of the server, as a property list: (:coderls (:engine (:model "qwen2.5-coder-1.5b")))
(defvar lsp-coderls-options '(:coderls nil) "Options that coderls is started with.")

(with-eval-after-load 'lsp-mode
  (lsp-register-client
   (make-lsp-client
    :new-connection (lsp-stdio-connection (lambda () coderls-command))
    :activation-fn (lambda (_file _mode) (derived-mode-p 'prog-mode))
    :add-on? t                          ; it does not take the place of another server
    :priority -1
    :initialization-options (lambda () lsp-coderls-options)
    :server-id 'coderls)))
