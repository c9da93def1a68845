;;; coderls.el --- Ghost text from coderls, through eglot  -*- lexical-binding: t; -*-

;; SPDX-License-Identifier: Apache-2.0
;; Package-Requires: ((emacs "29.1"))

;;; Commentary:

;; Without this file eglot and lsp-mode offer coderls' completions in the
;; completion list.  With it eglot shows them as ghost text:
;;
;;     (require 'coderls)
;;     (coderls-use '(python-mode python-ts-mode))
;;     (keymap-set coderls-ghost-map "TAB" #'coderls-accept)
;;     (add-hook 'python-mode-hook #'eglot-ensure)
;;
;; The keys of `coderls-ghost-map' are in force only while there is ghost text.
;; Nothing is bound until you bind it.

;;; Code:

(require 'cl-lib)
(require 'eglot)
(require 'jsonrpc)

(defgroup coderls nil "Code completion by a model on this machine." :group 'tools)

(defcustom coderls-command '("coderls" "--stdio")
  "Command of the language server." :type '(repeat string))

(defface coderls-ghost
  '((((min-colors 256)) :foreground "#808080" :slant italic)
    (t :foreground "brightblack" :slant italic))
  "Ghost text.")

(defvar-keymap coderls-ghost-map :doc "Keys while there is ghost text.")

(defclass coderls-server (eglot-lsp-server)
  ((status :initform nil :accessor coderls-server-status))
  :documentation "A coderls that draws ghost text instead of a completion list.")

(defvar-local coderls--overlay nil "Shows the ghost text.")
(defvar-local coderls--text nil "The text that was answered, from `coderls--start' on.")
(defvar-local coderls--start nil "Marker: the cursor of the request.")
(defvar-local coderls--replaced 0 "So many characters after the cursor go when the text is taken.")
(defvar-local coderls--command nil "Command to run once all of the text is taken.")
(defvar-local coderls--items nil "All that was answered; the first is shown.")
(defvar-local coderls--request nil "Id of the request whose answer is awaited.")
(defvar-local coderls--round 0 "Counts requests: answers to older ones are not shown.")
(defvar-local coderls--seen nil "Text and cursor that were looked at last.")
(defvar-local coderls--visible nil "Whether there is ghost text: then its keys are in force.")

;;; What the server is told, and says of itself.

(cl-defmethod eglot-client-capabilities :around ((_server coderls-server))
  "Say that there is ghost text here, and that `coderls/status' is understood."
  (let* ((all (cl-call-next-method))
         (documents (plist-get all :textDocument)))
    (setq documents (plist-put documents :inlineCompletion '(:dynamicRegistration :json-false)))
    (setq all (plist-put all :textDocument documents))
    (plist-put all :experimental '(:coderlsStatus t))))

(cl-defmethod eglot-handle-notification
  ((server coderls-server) (_method (eql coderls/status)) &key state text detail &allow-other-keys)
  "Keep what SERVER says of itself: STATE, TEXT and DETAIL."
  (setf (coderls-server-status server) (list state text detail))
  (force-mode-line-update t))

(defun coderls--server ()
  "The coderls of this buffer."
  (let ((server (eglot-current-server)))
    (and (cl-typep server 'coderls-server) server)))

(defun coderls-status ()
  "Say how coderls is, and why.  Returns a few words for a mode line."
  (interactive)
  (let* ((server (coderls--server))
         (status (and server (coderls-server-status server)))
         (words (cond (status (format "coderls: %s" (nth 1 status)))
                      (server "coderls: running")
                      (t ""))))
    (when (called-interactively-p 'interactive)
      (message "%s%s" (if (string-empty-p words) "coderls is not attached to this buffer" words)
               (if (and status (not (member (nth 2 status) '(nil "")))) (concat ". " (nth 2 status)) "")))
    words))

;;;###autoload
(defun coderls-use (modes)
  "Let eglot start coderls in MODES, a major mode or a list of them, with ghost text."
  (add-to-list 'eglot-server-programs (cons modes (cons 'coderls-server coderls-command)))
  (add-hook 'eglot-managed-mode-hook #'coderls--managed))

(defun coderls--managed ()
  "Begin or end ghost text with eglot."
  (coderls-ghost-mode (if (and (eglot-managed-p) (coderls--server)) 1 -1)))

(define-minor-mode coderls-ghost-mode
  "Ghost text from coderls in this buffer."
  :lighter nil
  (coderls--forget)
  (if coderls-ghost-mode
      (progn
        (setq-local minor-mode-overriding-map-alist
                    (cons (cons 'coderls--visible coderls-ghost-map) minor-mode-overriding-map-alist))
        (add-hook 'post-command-hook #'coderls--changed nil t))
    (setq-local minor-mode-overriding-map-alist
                (assq-delete-all 'coderls--visible minor-mode-overriding-map-alist))
    (remove-hook 'post-command-hook #'coderls--changed t)))

;;; Asking.

(defun coderls--place ()
  "What tells one text and cursor from another."
  (cons (buffer-chars-modified-tick) (point)))

(defun coderls--cancel ()
  "Let the server stop what nobody waits for any more."
  (when (and coderls--request (coderls--server))
    (jsonrpc-notify (coderls--server) :$/cancelRequest (list :id coderls--request)))
  (cl-incf coderls--round)
  (setq coderls--request nil))

(defun coderls--changed ()
  "After each command: go on with what is shown, or ask anew."
  (let ((place (coderls--place)) (typed (car coderls--seen)))
    (unless (equal place coderls--seen)
      (setq coderls--seen place)
      (cond ((coderls--draw) (coderls--cancel))
            ((and typed (/= typed (car place)) (not buffer-read-only)) (coderls--ask 2))
            (t (coderls--cancel))))))

(defun coderls--ask (kind)
  "Ask for the text at point.  KIND is 1 for a key, 2 for typing."
  (coderls--cancel)
  (when-let* ((server (coderls--server)))
    (eglot--signal-textDocument/didChange)
    (let* ((buffer (current-buffer))
           (place (coderls--place))
           (round coderls--round)
           (answered
            (lambda (result)
              (when (buffer-live-p buffer)
                (with-current-buffer buffer
                  (when (= round coderls--round)
                    (setq coderls--request nil)
                    (when (equal place (coderls--place)) (coderls--show result)))))))
           ;; The public function of the same name does not tell the id, and there would be no way to cancel.
           (sent (jsonrpc--async-request-1
                  server :textDocument/inlineCompletion
                  (list :textDocument (eglot--TextDocumentIdentifier)
                        :position (eglot--pos-to-lsp-position)
                        :context (list :triggerKind kind))
                  :success-fn answered
                  :error-fn #'ignore
                  :timeout-fn #'ignore)))
      (setq coderls--request (car sent)))))

(defun coderls-ask ()
  "Ask for ghost text now: also in comments, and for several alternatives."
  (interactive)
  (coderls--ask 1))

;;; Showing.

(defun coderls--forget ()
  "Take away what is shown."
  (when coderls--overlay (delete-overlay coderls--overlay))
  (setq coderls--overlay nil coderls--text nil coderls--items nil coderls--visible nil))

(defun coderls--show (result)
  "Show the first text of RESULT that fits at point."
  (coderls--forget)
  (let ((items (or (plist-get result :items) (and (vectorp result) result))))
    (setq coderls--items (append items nil))
    (coderls--take-up)))

(defun coderls--take-up ()
  "Show the first of `coderls--items'."
  (when-let* ((item (car coderls--items))
              (text (plist-get item :insertText)))
    (let* ((range (plist-get item :range))
           (start (if range (eglot--lsp-position-to-point (plist-get range :start)) (point)))
           (end (if range (eglot--lsp-position-to-point (plist-get range :end)) (point)))
           (before (and (<= start (point) end) (buffer-substring-no-properties start (point)))))
      (when (and before (string-prefix-p before text))
        (setq coderls--text (string-replace "\r" "" (substring text (length before)))
              coderls--start (copy-marker (point))
              coderls--replaced (- end (point))
              coderls--command (plist-get item :command))
        (coderls--draw)))))

(defun coderls--rest ()
  "What is left of the text at point; nil where it does not fit any more."
  (when (and coderls--text (<= coderls--start (point)))
    (let ((typed (buffer-substring-no-properties coderls--start (point))))
      (and (string-prefix-p typed coderls--text)
           (> (length coderls--text) (length typed))
           (substring coderls--text (length typed))))))

(defun coderls--draw ()
  "Show what is left at point.  Nil, and nothing is shown, where nothing is."
  (let ((rest (coderls--rest)))
    (if (null rest)
        (coderls--forget)
      (unless coderls--overlay (setq coderls--overlay (make-overlay (point) (point))))
      (move-overlay coderls--overlay (point) (point))
      (let* ((gone (buffer-substring-no-properties (point) (min (point-max) (+ (point) coderls--replaced))))
             (shown (if (and (> coderls--replaced 0) (string-suffix-p gone rest))
                        (substring rest 0 (- (length rest) (length gone)))
                      rest))
             (ghost (propertize shown 'face 'coderls-ghost)))
        (unless (string-empty-p ghost) (put-text-property 0 1 'cursor t ghost))
        (overlay-put coderls--overlay 'after-string ghost))
      (setq coderls--visible t))))

;;; Taking.

(defun coderls--insert (piece whole)
  "Insert PIECE of the ghost text; WHOLE if nothing of it is left then."
  (undo-boundary)
  (when whole (delete-char (min coderls--replaced (- (point-max) (point)))))
  (insert piece)
  (setq coderls--seen (coderls--place))
  (if (not whole)
      (coderls--draw)
    (let ((command coderls--command))
      (coderls--forget)
      (when (and command (coderls--server))
        (jsonrpc-async-request (coderls--server) :workspace/executeCommand
                               (list :command (plist-get command :command)
                                     :arguments (plist-get command :arguments))
                               :success-fn #'ignore :error-fn #'ignore :timeout-fn #'ignore)))
    (coderls--ask 2)))

(defun coderls--accept (regexp)
  "Take what REGEXP matches at the beginning of the ghost text, or all of it."
  (when-let* ((rest (coderls--rest)))
    (let ((piece (if (and regexp (string-match regexp rest)) (match-string 0 rest) rest)))
      (coderls--insert piece (equal piece rest))
      t)))

(defun coderls-accept ()
  "Take all of the ghost text."
  (interactive)
  (coderls--accept nil))

(defun coderls-accept-word ()
  "Take the next word of the ghost text."
  (interactive)
  (coderls--accept "\\`[[:space:]\n]*\\(?:[[:alnum:]_]+\\|[^[:alnum:]_[:space:]\n]+\\)"))

(defun coderls-accept-line ()
  "Take the rest of the line of the ghost text, or its next line."
  (interactive)
  (coderls--accept "\\`\n?[^\n]+"))

(defun coderls-next ()
  "Show the next alternative."
  (interactive)
  (if (cdr coderls--items)
      (let ((items (append (cdr coderls--items) (list (car coderls--items))))
            (at (marker-position coderls--start)))
        (when (= at (point))
          (coderls--forget)
          (setq coderls--items items)
          (coderls--take-up)))
    (coderls--ask 1)))

(defun coderls-dismiss ()
  "Take the ghost text away, and do not offer it here again for a while."
  (interactive)
  (let ((command coderls--command) (server (coderls--server)))
    (coderls--cancel)
    (coderls--forget)
    (setq coderls--seen (coderls--place))
    (when (and server command)
      (jsonrpc-async-request server :workspace/executeCommand
                             (list :command "coderls.rejected" :arguments (plist-get command :arguments))
                             :success-fn #'ignore :error-fn #'ignore :timeout-fn #'ignore))))

(provide 'coderls)
;;; coderls.el ends here
