from PySide6.QtWidgets import QWidget
class MaskEditor(QWidget): pass
